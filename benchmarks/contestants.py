"""The sweep to race over, and how to start this project and each alternative on it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import venv
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import say
from benchmarks.timing import PROGRAM
from cnn_pipeline.base.home import cache_dir
from cnn_pipeline.data.dataset import load_dataset
from cnn_pipeline.settings.trial import DataSettings

OURS = "cnn-pipeline"
# An alternative's name is its folder below `rivals`, with `requirements.txt` and `sweep.py`.
TITLES = {
    OURS: "cnn-pipeline run",
    "keras_log_model": "Keras loop, autolog and log_model",
    "keras_tuner": "KerasTuner, GridSearch",
    "ray_tune": "Ray Tune, MLflowLoggerCallback",
    "pytorch": "PyTorch",
}
RIVALS = Path(__file__).parent / "rivals"
_ENVIRONMENTS = Path(__file__).parent / ".environments"


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
        """Number of images for validation."""
        return self.images // 10

    @property
    def train(self) -> int:
        """Number of images to train on."""
        return self.images - self.validation

    def as_json(self) -> dict[str, Any]:
        """All fields as `json.load` returns them: lists for tuples."""
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
    """Write the images as .npz, uint8, so that all contestants train on the same split.

    Keras takes the last share of the arrays for validation, so our validation images stand there.
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


def python_of(rival: str) -> Path:
    """The interpreter of an alternative's own environment; install its packages the first time.

    Raises:
        CalledProcessError: pip could not install them; it has said why.
    """
    requirements = RIVALS / rival / "requirements.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    folder = _ENVIRONMENTS / rival
    python, stamp = folder / "bin" / "python", folder / ".installed"
    if not stamp.exists() or stamp.read_text() != wanted:
        say(f"installing {rival}: {requirements}")
        venv.create(folder, clear=True, with_pip=True)
        pip: list[str | Path] = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--requirement", requirements], check=True)
        stamp.write_text(wanted)
    return python


def command_of(name: str, sweep: Sweep, data: Path, output: Path, seed: int) -> list[str | Path]:
    """The command that runs the sweep and keeps its results in `output`."""
    work = ["--filters", _comma(sweep.filters), "--pooling", _comma(sweep.pooling)]
    work += ["--epochs", str(sweep.epochs)]
    if name == OURS:
        work += ["--train-limit", str(sweep.train), "--validation-size", str(sweep.validation)]
        return [PROGRAM, "run", *work, "--seeds", str(seed), "--home", output, "--json"]
    work += ["--images", str(sweep.images), "--seed", str(seed)]
    script = RIVALS / name / "sweep.py"
    return [python_of(name), script, *work, "--data", data, "--output", output]


def environment_of(name: str, scratch: Path) -> Mapping[str, str]:
    """Variables of an alternative's process: report no usage, keep nothing for the next round."""
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
    """What each variant reached: variant, test_accuracy, fit_seconds, images_per_second.

    `fit_seconds` includes validation. `images_per_second` is computed from it, except ours and
    PyTorch's, which leave out the first epoch and validation.

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
            for trial in json.loads(output)["results"]
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
