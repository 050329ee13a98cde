"""What the scripts of all alternatives share: the arguments, the images, the answer.

It stands on the path of each script, and needs NumPy alone.
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
    """Folder for whatever is kept."""
    seed: int
    filters: tuple[int, ...]
    pooling: tuple[str, ...]
    """Of 'max' and 'none'."""
    epochs: int

    @property
    def train_count(self) -> int:
        """Images that are trained on, as Keras' `validation_split` leaves them."""
        return int(len(self.x_train) * (1 - VALIDATION_SPLIT))

    @property
    def images_seen(self) -> int:
        """Images that a training sees in all its epochs."""
        return self.train_count * self.epochs

    @property
    def variants(self) -> list[tuple[int, str]]:
        """Every combination of filters and pooling."""
        return list(itertools.product(self.filters, self.pooling))


def work_parser() -> argparse.ArgumentParser:
    """The arguments that all scripts take."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help=".npz with the four arrays")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--filters", type=_numbers, default=(16, 32, 64))
    parser.add_argument("--pooling", type=_words, default=("max", "none"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=None, help="take the first of them only")
    return parser


def read_work(given: argparse.Namespace | None = None) -> Work:
    """The work that the command line asks for, or `given` arguments; its images scaled."""
    given = given or work_parser().parse_args()
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
    """One trained network, as it stands in the last line of the output.

    Args:
        name: which.
        accuracy: share of the test images that are right.
        fit_seconds: training with its validation.
        images: trained on in this time, all epochs together.
    """
    return {
        "variant": name,
        "test_accuracy": float(accuracy),
        "fit_seconds": float(fit_seconds),
        "images_per_second": images / fit_seconds,
    }


def print_answers(answers: list[dict[str, Any]]) -> None:
    """Write the last line of the output, which is read by who started the script."""
    print(json.dumps({"variants": answers}), flush=True)


def _scaled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.astype("float32") / 255


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))
