"""Arguments, images and answers, shared by the scripts of all alternatives.

It is on the path of each script, and needs only NumPy.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH_SIZE = 128
VALIDATION_SPLIT = 0.1


@dataclass(frozen=True, eq=False)
class Work:
    """The sweep to do."""

    x_train: NDArray[np.float32]
    """`[n, 28, 28, 1]`, 0..1; the last tenth is for validation."""
    y_train: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    output: Path
    """Folder for everything that is kept."""
    seed: int
    filters: tuple[int, ...]
    pooling: tuple[str, ...]
    """Of 'max' and 'none'."""
    epochs: int

    @property
    def train_count(self) -> int:
        """Number of training images, as Keras' `validation_split` leaves them."""
        return int(len(self.x_train) * (1 - VALIDATION_SPLIT))

    @property
    def training(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Images and labels to train on."""
        return self.x_train[: self.train_count], self.y_train[: self.train_count]

    @property
    def validation(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Images and labels that are not trained on."""
        return self.x_train[self.train_count :], self.y_train[self.train_count :]

    @property
    def images_seen(self) -> int:
        """Number of images that a training sees in all epochs."""
        return self.train_count * self.epochs

    @property
    def variants(self) -> list[tuple[int, str]]:
        """Every combination of filters and pooling."""
        return list(itertools.product(self.filters, self.pooling))


def read_work() -> Work:
    """The work that the command line asks for, its images scaled."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help=".npz with the four arrays")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--filters", type=_numbers, default=(16, 32, 64))
    parser.add_argument("--pooling", type=_words, default=("max", "none"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=None, help="take the first of them only")
    given = parser.parse_args()
    with np.load(given.data) as arrays:
        return Work(
            x_train=_scaled(arrays["x_train"][: given.images]),
            y_train=arrays["y_train"][: given.images],
            x_test=_scaled(arrays["x_test"]),
            y_test=arrays["y_test"],
            output=given.output.resolve(),
            seed=given.seed,
            filters=given.filters,
            pooling=given.pooling,
            epochs=given.epochs,
        )


def label(filters: int, pooling: str) -> str:
    """'f64-max'."""
    return f"f{filters}-{pooling}"


def answer(name: str, accuracy: float, fit_seconds: float, images: int) -> dict[str, Any]:
    """One trained network, for the last line of the output.

    Args:
        name: which.
        accuracy: share of correct test images.
        fit_seconds: seconds of training and validation.
        images: number of images that were trained on, in all epochs.
    """
    return {
        "variant": name,
        "test_accuracy": float(accuracy),
        "fit_seconds": float(fit_seconds),
        "images_per_second": images / fit_seconds,
    }


def print_answers(answers: list[dict[str, Any]]) -> None:
    """Print the last line of the output, which `benchmarks.race` reads."""
    print(json.dumps({"variants": answers}), flush=True)


def _scaled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.astype("float32") / 255


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))
