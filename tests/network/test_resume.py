"""A training that was interrupted goes on from its checkpoint and ends as if it had not been."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cnn_pipeline.data.dataset import Split
from cnn_pipeline.data.rows import Rows
from cnn_pipeline.network.build import build_model, build_twin
from cnn_pipeline.network.checkpoint import Checkpoints, hold
from cnn_pipeline.network.compiled.operations import LEAST_CHANNELS
from cnn_pipeline.network.device import Device
from cnn_pipeline.network.engines import chunks
from cnn_pipeline.network.history import Epoch, History
from cnn_pipeline.network.train import Callback, train
from cnn_pipeline.settings.trial import Training, Variant
from tests.network.test_train import SHAPE, TRAIN, VALIDATION
from tests.running import DEADLINE

IDENTITY = {"content key": "0a1b", "processor": "any"}
SEED = 3


@dataclass(frozen=True)
class Case:
    """A training of 300 images in three epochs, in 4 steps of 64 and one of 44."""

    variant: Variant = Variant(filters=3, dense_units=8)  # noqa: RUF009 - frozen
    training: dict[str, Any] = field(default_factory=dict)
    precision: str = "float32"
    threads: int = 1
    kind: str = "cpu"
    """'gpu' has TensorFlow train with Keras' `fit`."""


BATCH_NORM = Variant(filters=3, dense_units=8, batch_norm=True)
DROPOUT = Variant(filters=3, dense_units=8, dropout=0.5)
CASES = {
    "plain": Case(Variant(filters=LEAST_CHANNELS, dense_units=8)),
    "two-threads": Case(DROPOUT, threads=2),
    "batch-norm": Case(BATCH_NORM, {"optimizer": "rmsprop"}, threads=2),
    "bfloat16": Case(BATCH_NORM, {"augmentation": "random-erase"}, "bfloat16", threads=2),
    "recipe": Case(DROPOUT, {"ema_momentum": 0.9, "schedule": "cosine"}),
    "one-cycle": Case(
        DROPOUT,
        {"weight_decay": 0.1, "schedule": "one-cycle", "augmentation": "flip+shift"},
        threads=2,
    ),
    "early-stop": Case(training={"epochs": 50, "stop_at_accuracy": 0.9}),
    "patience": Case(DROPOUT, {"epochs": 20, "patience": 2, "ema_momentum": 0.5}, threads=2),
    "keras": Case(DROPOUT, {"schedule": "cosine", "augmentation": "random-erase"}, kind="gpu"),
    "keras-patience": Case(
        BATCH_NORM, {"epochs": 20, "patience": 2, "ema_momentum": 0.9}, "bfloat16", kind="gpu"
    ),
}


class Killed(Exception):
    """Stands for a kill: nothing of the process is used afterwards."""


class Kill(Callback):
    """Raises at the end of an epoch, or when so many images of one are trained."""

    def __init__(self, epoch: int, images: int = 0) -> None:
        self._at = (epoch, images)
        self.resumed: list[tuple[int, int]] = []

    def on_resume(self, epochs: tuple[Epoch, ...], images: int) -> None:
        self.resumed.append((len(epochs), images))

    def on_images(self, epoch: int, images: int) -> None:
        if self._at[1] and (epoch, images) >= self._at:
            raise Killed

    def on_epoch(self, epoch: Epoch) -> None:
        if not self._at[1] and epoch.epoch == self._at[0]:  # -1 is never
            raise Killed


@pytest.fixture(autouse=True)
def _one_step_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that an epoch of five steps can be interrupted within."""
    monkeypatch.setattr(chunks, "_FIRST_CHUNK", 1)
    monkeypatch.setattr(chunks, "SECONDS_BETWEEN_TOLD", 0.0)


@contextmanager
def held(folder: Path) -> Iterator[tuple[Checkpoints, list[str]]]:
    told: list[str] = []
    with hold(folder, IDENTITY, told.append) as checkpoints:
        yield checkpoints, told


def trained(
    case: Case,
    checkpoints: Checkpoints | None = None,
    *callbacks: Callback,
    splits: tuple[Split, Split] = (TRAIN, VALIDATION),
) -> tuple[keras.Model, History]:
    keras.backend.clear_session()
    training = Training(**{"epochs": 3, "batch_size": 64, "learning_rate": 0.01} | case.training)
    model = build_model(case.variant, SHAPE, 2, seed=SEED)
    twin = build_twin(
        model,
        case.variant,
        precision=case.precision,
        seed=SEED,
        augmentation=training.augmentation,
    )
    device = Device(case.kind, "any", case.threads, fast_bfloat16=False)
    history = train(
        twin,
        *splits,
        training,
        device,
        seed=SEED,
        callbacks=callbacks,
        checkpoints=checkpoints,
        checkpoint_seconds=0.0,
    )
    return twin, history


def numbers(twin: keras.Model, history: History) -> dict[str, np.ndarray]:
    """All numbers of a training but its times: variables, curves and answers."""
    found = {
        f"{number} {variable.path}": variable.numpy()
        for number, variable in enumerate([*twin.variables, *twin.optimizer.variables])
    }
    found["curves"] = np.array(
        [(e.epoch, e.loss, e.accuracy, e.val_loss, e.val_accuracy) for e in history.epochs]
    )
    found["answers"] = twin.predict_on_batch(VALIDATION.images)
    return found


def assert_identical(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert values.dtype == other[name].dtype and values.tobytes() == other[name].tobytes(), name


def interrupted(
    case: Case, folder: Path, kills: list[Kill], **options: Any
) -> tuple[keras.Model, History]:
    """Train until the last of `kills`, which does not kill; each goes on where the last ended."""
    for kill in kills:
        with held(folder) as (checkpoints, told):
            try:
                twin, history = trained(case, checkpoints, kill, **options)
            except Killed:
                assert kill is not kills[-1]
        assert told == []
    return twin, history


@pytest.mark.parametrize("name", CASES)
def test_an_interrupted_training_ends_with_the_same_bits(tmp_path: Path, name: str) -> None:
    """Interrupted within the second epoch and after it; some once more when it is complete."""
    case = CASES[name]
    wanted, history = trained(case)
    last = len(history.epochs) - 1
    # No checkpoint has the third step. Keras' `fit` goes on between epochs only.
    kills = [Kill(1, images=3 * 64), Kill(1), Kill(-1)]
    goes_on = [[], [(1, 0 if case.kind == "gpu" else 2 * 64)], [(2, 0)]]
    stops = name in ("early-stop", "patience", "keras-patience")
    if stops or name == "recipe":
        kills.insert(-1, Kill(last))
        goes_on.append([(last + 1, 0)])
    if last == 1:  # it stops after the second epoch
        del kills[1], goes_on[2]
    twin, resumed = interrupted(case, tmp_path / "0a1b", kills)
    assert [kill.resumed for kill in kills] == goes_on
    assert_identical(numbers(wanted, history), numbers(twin, resumed))
    assert resumed.stop_reason == history.stop_reason
    assert stops == bool(resumed.stop_reason)
    assert resumed.train_seconds > 0 and resumed.images_per_second > 0


@pytest.mark.parametrize("name", ["plain", "one-cycle", "batch-norm", "keras"])
def test_images_on_the_disk_give_the_same_bits(tmp_path: Path, name: str) -> None:
    """In the same order, with the last batch of 44, also when it was interrupted."""

    def on_disk(split: Split) -> Split:
        path = tmp_path / f"{split.role}.npy"
        mixed = np.random.default_rng(0).permutation(len(split))
        np.save(path, split.images[mixed])
        kept = np.load(path, mmap_mode="r")
        return Split(split.role, Rows(kept).take(np.argsort(mixed)), split.labels)

    wanted = trained(CASES[name])
    kills = [Kill(1, images=3 * 64), Kill(-1)]
    splits = (on_disk(TRAIN), on_disk(VALIDATION))
    found = interrupted(CASES[name], tmp_path / "0a1b", kills, splits=splits)
    assert kills[1].resumed
    assert_identical(numbers(*wanted), numbers(*found))


JAX = """
import sys
from pathlib import Path
from cnn_pipeline.network.engines import chunks
from tests.network.test_resume import *

chunks._FIRST_CHUNK, chunks.SECONDS_BETWEEN_TOLD = 1, 0.0
case = Case(
    DROPOUT, {"epochs": 2, "ema_momentum": 0.9, "schedule": "cosine", "patience": 1,
    "augmentation": "flip+shift"}, kind="gpu"
)
kills = [Kill(1, images=3 * 64), Kill(-1)]
one, other = trained(case), interrupted(case, Path(sys.argv[1]), kills)
assert kills[1].resumed == [(1, 2 * 64)], kills[1].resumed
assert_identical(numbers(*one), numbers(*other))
"""


@pytest.mark.slow
def test_the_loop_of_jax_goes_on_within_an_epoch(
    tmp_path: Path, need: Callable[[bool, str], None]
) -> None:
    need(find_spec("jax") is not None, 'JAX: pip install --editable ".[jax]"')
    done = subprocess.run(
        [sys.executable, "-c", JAX, str(tmp_path / "0a1b")],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True, text=True, check=False, timeout=5 * DEADLINE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
