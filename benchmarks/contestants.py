"""The sweep to race over, and how this project and each alternative are started on it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environments import RIVALS, python_of
from cnn_pipeline.base.home import cache_dir
from cnn_pipeline.data.dataset import load_dataset
from cnn_pipeline.settings.trial import DataSettings

OURS = "cnn-pipeline"
TITLES = {
    OURS: "cnn-pipeline run",
    "keras_autolog": "Keras loop, mlflow.keras.autolog",
    "keras_log_model": "Keras loop, autolog and log_model",
    "keras_tuner": "KerasTuner, GridSearch",
    "ray_tune": "Ray Tune, MLflowLoggerCallback",
    "pytorch": "PyTorch",
}


@dataclass(frozen=True)
class Rival:
    """How an alternative is started."""

    environment: str
    """Folder below `rivals` with its requirements and its script."""
    script: str = "sweep.py"
    options: tuple[str, ...] = ()


RIVAL_OF = {
    "keras_autolog": Rival("keras_autolog"),
    "keras_log_model": Rival("keras_autolog", options=("--log-model",)),
    "keras_tuner": Rival("keras_tuner"),
    "ray_tune": Rival("ray_tune"),
    "pytorch": Rival("pytorch", "training.py"),
}


@dataclass(frozen=True)
class Sweep:
    """Work that is the same for all: every combination of filters and pooling, one seed."""

    filters: tuple[int, ...]
    pooling: tuple[str, ...]
    epochs: int
    images: int
    """For training and validation together; a tenth is for validation."""

    @property
    def validation(self) -> int:
        """Images for validation."""
        return self.images // 10

    @property
    def train(self) -> int:
        """Images that are trained on."""
        return self.images - self.validation

    def as_json(self) -> dict[str, Any]:
        """All fields, as JSON gives them back: lists for tuples."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def in_words(self) -> str:
        """One line for the head of a table."""
        variants = len(self.filters) * len(self.pooling)
        return (
            f"Fashion-MNIST, filters {_comma(self.filters)} x pooling {_comma(self.pooling)} "
            f"({variants} {'variant' if variants == 1 else 'variants'}), {self.epochs} "
            f"{'epoch' if self.epochs == 1 else 'epochs'} of {self.train:,} images in batches of "
            f"128, validated on {self.validation:,}, scored on all 10,000 test images"
        )


def export_images(sweep: Sweep, path: Path) -> None:
    """Write the images as .npz, uint8, in the order that gives the alternatives this split.

    Keras takes the last share of the arrays for validation, so ours stand there: all train and
    validate on the same images.
    """
    data = load_dataset(
        DataSettings(validation_size=sweep.validation, train_limit=sweep.train),
        cache_dir(os.environ),
    )
    np.savez(
        path,
        x_train=np.concatenate([data.train.images, data.validation.images]),
        y_train=np.concatenate([data.train.labels, data.validation.labels]),
        x_test=data.test.images,
        y_test=data.test.labels,
    )


def command_of(name: str, sweep: Sweep, data: Path, output: Path, seed: int) -> list[str | Path]:
    """The command that does the sweep; what it keeps lies in `output`."""
    if name == OURS:
        return [
            Path(sys.executable).parent / "cnn-pipeline",
            "run",
            *("--filters", _comma(sweep.filters), "--pooling", _comma(sweep.pooling)),
            *("--epochs", str(sweep.epochs), "--train-limit", str(sweep.train)),
            *("--validation-size", str(sweep.validation), "--seeds", str(seed)),
            *("--home", output, "--json"),
        ]
    rival = RIVAL_OF[name]
    return [
        python_of(rival.environment),
        RIVALS / rival.environment / rival.script,
        *rival.options,
        *("--data", data, "--output", output, "--seed", str(seed)),
        *("--filters", _comma(sweep.filters), "--pooling", _comma(sweep.pooling)),
        *("--epochs", str(sweep.epochs), "--images", str(sweep.images)),
    ]


def environment_of(name: str, scratch: Path) -> Mapping[str, str]:
    """Variables that its process gets: nothing reports its use, or is kept for the next round."""
    if name == OURS:
        return {}
    return {
        "PYTHONPATH": str(RIVALS / "common"),
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TMPDIR": str(scratch),
        "TORCHINDUCTOR_CACHE_DIR": str(scratch),
    }


def answers_of(name: str, output: str, sweep: Sweep) -> list[dict[str, Any]]:
    """What each variant came to: variant, test_accuracy, fit_seconds, images_per_second.

    `fit_seconds` holds training with its validation. In a sweep `images_per_second` is counted
    over them; ours and PyTorch's leave the first epoch and the validation out.

    Raises:
        ValueError: the output does not end with the answers, or not with one for each variant.
    """
    if name == OURS:
        answers = [
            {
                "variant": trial["label"],
                "test_accuracy": trial["metrics"]["test_accuracy"],
                "fit_seconds": trial["metrics"]["train_seconds"],
                "images_per_second": trial["metrics"]["images_per_second"],
            }
            for trial in json.loads(output)["variants"]
        ]
    else:
        lines = [line for line in output.splitlines() if line.startswith('{"variants"')]
        if not lines:
            raise ValueError(f"{name} must print its variants as JSON, received {output[-300:]!r}")
        answers = json.loads(lines[-1])["variants"]
    wanted = {f"f{filters}-{pooling}" for filters in sweep.filters for pooling in sweep.pooling}
    found = {answer["variant"] for answer in answers}
    if found != wanted:
        raise ValueError(f"{name} must answer for {sorted(wanted)}, received {sorted(found)}")
    return answers


def _comma(values: tuple[Any, ...]) -> str:
    return ",".join(str(value) for value in values)
