"""The check of free space before a sweep, and which errors mean a full disk."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from cnn_pipeline.base.home import Home
from cnn_pipeline.base.space import Need, NoRoom, full_disk, is_full, require_room
from cnn_pipeline.experiment.room import check_room
from cnn_pipeline.network.plan import plan_layers
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Variant


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, int]:
    """The bytes that each disk says it has; all folders here are on one."""
    usage = shutil.disk_usage(tmp_path)
    left = {"bytes": 10**12}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=left["bytes"]))
    return left


def test_what_goes_to_one_disk_is_added(free: dict[str, int], tmp_path: Path) -> None:
    needs = [Need(tmp_path / "not yet", 6_000_000, "runs"), Need(tmp_path, 5_000_000, "logs")]
    require_room(needs, "Make room.")
    free["bytes"] = 10_000_000
    with pytest.raises(NoRoom) as caught:
        require_room(needs, "Make room.")
    assert str(caught.value) == (
        f"the disk of {tmp_path}/not yet must have 11 MB free (6 MB for runs, 5 MB for logs), "
        "received 10 MB. Make room."
    )
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(("seeds", "workers"), [((0,), 1), ((0, 1, 2), 1), ((0, 1, 2), 3)])
def test_a_sweep_needs_its_models_and_the_checkpoints_of_what_runs(
    free: dict[str, int], tmp_path: Path, seeds: tuple[int, ...], workers: int
) -> None:
    variant = Variant(filters=8, dense_units=1000)
    sweep = Sweep(name="one", variant=variant, seeds=seeds)
    plan = plan_layers(variant, (28, 28, 1), 10)
    trials = sweep.trials()
    runs = len(trials) * (4 * plan.num_params + 10_000 * 11 * 8 + 3_000_000)
    needed = 64_000_000 + runs + workers * plan.num_params * (48 + 8)

    def check(environ: dict[str, str]) -> None:
        check_room(trials, {sweep.labels[0]: plan}, 10_000, workers, Home(tmp_path), environ)

    free["bytes"] = needed
    check({})
    free["bytes"] -= 1
    with pytest.raises(NoRoom, match="give another folder with --home DIR"):
        check({})
    check({"MLFLOW_TRACKING_URI": "http://elsewhere"})  # the runs go there


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EFBIG, "File too large"), True),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (ValueError("full"), False),
    ],
)
def test_a_full_disk_is_known_by_its_errors(error: Exception, expected: bool) -> None:
    assert is_full(error) is expected
    wrapped = KeyError("wrapped")
    wrapped.__cause__ = error
    assert is_full(wrapped) is expected
    said = full_disk(wrapped)
    assert (said is not None) is expected
    if said is not None:
        assert "Make room, and run the same command again" in str(said)
        assert full_disk(said) is None  # it says so already


def test_the_file_that_could_not_be_written_is_named() -> None:
    copied = OSError(errno.ENOSPC, "No space left on device", "/tmp/from", None, "/home/to")
    assert str(full_disk(copied)).startswith("a disk is full (/home/to). Make room")
    written = OSError(errno.ENOSPC, "No space left on device", "/home/written")
    assert str(full_disk(written)).startswith("a disk is full (/home/written). Make room")
