"""Images of three times the memory of the process that trains on them.

RLIMIT_DATA (`ulimit -d`) limits what a process writes to memory of its own. It does not count the
maps of files that are only read: the kernel drops their pages when memory is short.
"""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest

from cnn_pipeline.base.home import Home
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.trial import DataSettings
from cnn_pipeline.tracking.models import copy_model_file, stored_model
from cnn_pipeline.tracking.store import Store
from cnn_pipeline.trainers.launching import Launcher
from cnn_pipeline.trainers.pool import trainers
from scripts.same_numbers import metrics_digest, weights_digest
from tests.running import QUICK, begin, one_trial, run_trials, trainers_below, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1800)]

LIMIT = 1 << 30
COUNT, TESTED, SHAPE = 64_000, 500, (128, 128, 3)
TRAINING = QUICK.model_copy(update={"batch_size": 64})


def write_idx(path: Path, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Write the values again and again, until the array has this shape. Returns a map of it."""
    header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
    with path.open("wb") as file:
        file.write(header)
        for _ in range(0, shape[0], len(values)):
            file.write(values.tobytes())
    return np.memmap(path, np.uint8, "r", len(header), shape)


def make_data(folder: Path, archive: Path) -> None:
    """The same images as IDX files and as an archive."""
    folder.mkdir()
    random, arrays = np.random.default_rng(0), {}
    labels = (np.arange(500) % 2).astype(np.uint8)
    for role, prefix, count in (("train", "train", COUNT), ("test", "t10k", TESTED)):
        images = random.integers(0, 200, (500, *SHAPE), dtype=np.uint8)
        images[labels == 1, :64] += 55
        arrays[f"x_{role}"] = write_idx(
            folder / f"{prefix}-images-idx4-ubyte", images, (count, *SHAPE)
        )
        arrays[f"y_{role}"] = write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels, (count,))
    assert arrays["x_train"].nbytes > 2.9 * LIMIT
    np.savez(archive, **arrays)


def trained(data: Path, home: Home, launcher: Launcher, *, limit: int | None) -> TrialResult:
    """One epoch, by a trainer that may have so much memory of its own."""
    sweep = one_trial(TRAINING, DataSettings(source=str(data), name="large"))
    begun = begin(sweep, home, home.root / "cache")
    before = trainers_below(os.getpid())
    with trainers(1, 1, home.root / "logs", launcher) as pool:
        if limit:
            wait_until(lambda: trainers_below(os.getpid()) > before, "the trainer")
            (trainer,) = trainers_below(os.getpid()) - before
            resource.prlimit(trainer, resource.RLIMIT_DATA, (limit, limit))
        (result,) = run_trials(begun, pool)
    return result


def digests(result: TrialResult, home: Home) -> tuple[str, str]:
    assert result.finished, result.reason
    store = Store(home.database_uri, home.artifacts_uri)
    file = copy_model_file(store, stored_model(store, result.run_id).model_id, home.root)
    return weights_digest(file), metrics_digest(result.metrics)


def test_it_gives_the_weights_that_it_gives_in_memory(
    tmp_path: Path, launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, archive = tmp_path / "idx", tmp_path / "large.npz"
    make_data(folder, archive)
    monkeypatch.setenv("CNN_PIPELINE_CACHE", str(tmp_path / "cache"))

    disk = Home(tmp_path / "disk")
    from_disk = digests(trained(folder, disk, launcher, limit=LIMIT), disk)
    shutil.rmtree(folder)
    refused = trained(archive, Home(tmp_path / "refused"), launcher, limit=LIMIT)
    assert refused.reason.startswith("MemoryError"), refused.reason
    memory = Home(tmp_path / "memory")
    assert digests(trained(archive, memory, launcher, limit=None), memory) == from_disk
