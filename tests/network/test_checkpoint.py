"""A checkpoint is there whole or not at all, and only its own training uses it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from cnn_pipeline.network import checkpoint
from cnn_pipeline.network.checkpoint import (
    Checkpoint,
    Checkpoints,
    CheckpointsInUse,
    forget,
    hold,
)
from cnn_pipeline.network.history import Epoch, Progress, Sums

IDENTITY = {"content key": "0a1b", "processor": "any"}
STEPS = range(1, 8)


def epochs(count: int) -> tuple[Epoch, ...]:
    return tuple(Epoch(n, 0.1 + n, 0.3, 1 / 3, 0.5, 1e-3, 2.5) for n in range(count))


def some(number: int, sums: Sums | None = None) -> Checkpoint:
    """After so many epochs; the arrays tell which one it is."""
    arrays = [np.full((2, 3), number, np.float32), np.array(number, np.int64)]
    progress = Progress(epochs(number), (1.5,) * number, (0,), seconds=0.1 if sums else 0.0)
    return Checkpoint(progress, arrays, sums)


@contextmanager
def held(
    folder: Path, place: Path | str = "", **other: str
) -> Iterator[tuple[Checkpoints, list[str]]]:
    told: list[str] = []
    with hold(folder, IDENTITY | other, told.append, str(place)) as checkpoints:
        yield checkpoints, told


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the checkpoints after the first and the second epoch."""
    with held(tmp_path / "0a1b") as (checkpoints, _):
        for number in (1, 2):
            checkpoints.save(some(number))
    return tmp_path / "0a1b"


def loaded(folder: Path, place: Path | str = "", **other: str) -> tuple[int | None, list[str]]:
    """After how many epochs the usable checkpoint is, and what was told."""
    with held(folder, place, **other) as (checkpoints, told):
        found = checkpoints.load()
    if found is None:
        return None, told
    number = len(found.progress.epochs)
    assert found.progress == some(number).progress
    for mine, its in zip(some(number).arrays, found.arrays, strict=True):
        assert mine.dtype == its.dtype and np.array_equal(mine, its)
    return number, told


def test_a_training_without_one_starts_anew(tmp_path: Path) -> None:
    assert loaded(tmp_path / "0a1b") == (None, [])


def test_the_newest_comes_back_as_it_was(folder: Path) -> None:
    assert loaded(folder) == (2, [])


def test_sums_of_an_unfinished_epoch_come_back_as_they_were(folder: Path) -> None:
    losses = np.array([0.1, 1 / 3, 2e-300])
    with held(folder) as (checkpoints, _):
        checkpoints.save(some(2, Sums(losses, 7)))
    with held(folder) as (checkpoints, _):
        found = checkpoints.load()
    assert found is not None and found.sums is not None
    assert found.progress == some(2, found.sums).progress
    assert found.sums.losses.tobytes() == losses.tobytes() and found.sums.hits == 7


def test_the_two_newest_are_kept(folder: Path) -> None:
    with held(folder) as (checkpoints, _):
        checkpoints.save(some(2, Sums(np.ones(150), 7)))
        checkpoints.save(some(3))
    assert sorted(os.listdir(folder)) == ["ckpt-00002-00000150", "ckpt-00003-00000000", "lock"]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def list_instead(path: Path) -> None:
    path.write_text("[1]")


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("name", ["arrays.npy", "state.json", "manifest.json"])
@pytest.mark.parametrize(
    "damage", [flip, truncate, empty, list_instead, Path.unlink, replace_by_pipe]
)
def test_a_damaged_one_is_not_used_but_the_one_before(
    folder: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(folder / "ckpt-00002-00000000" / name)
    number, [told] = loaded(folder)
    assert number == 1
    assert told.startswith("checkpoint ckpt-00002-00000000 is not used: it is damaged: ")
    assert name in told or "is not what was written" in told
    # Training comes to the same place again.
    with held(folder) as (checkpoints, _):
        checkpoints.save(some(2))
    assert loaded(folder) == (2, [])


def test_if_all_are_damaged_training_starts_anew(folder: Path) -> None:
    for path in folder.glob("ckpt-*/arrays.npy"):
        flip(path)
    number, told = loaded(folder)
    assert number is None and len(told) == 2


def test_that_of_another_training_is_never_used(folder: Path) -> None:
    number, told = loaded(folder, processor="AMD")
    assert number is None
    assert told[0] == (
        "checkpoint ckpt-00002-00000000 is not used: its processor must be AMD, received any"
    )


def test_one_that_was_copied_from_another_training_is_not_used(folder: Path) -> None:
    other = folder.with_name("2c3d")
    with hold(other, {**IDENTITY, "content key": "2c3d"}, print) as checkpoints:
        checkpoints.save(some(1))
        checkpoints.wait()
        shutil.copytree(folder / "ckpt-00002-00000000", other / "ckpt-00002-00000000")
        found = checkpoints.load()
    assert found is not None and len(found.progress.epochs) == 1


class Died(BaseException):
    """Stands for a kill in the middle of saving."""


@pytest.mark.parametrize("step", STEPS)
def test_after_a_kill_at_any_step_of_saving_one_is_there_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    def die(reached: int) -> None:
        if reached == step:
            raise Died

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "reached", die)
        with pytest.raises(Died), held(folder) as (checkpoints, _):
            checkpoints.save(some(3))
    assert loaded(folder) == (2 if step < 6 else 3, [])
    assert not list(folder.glob("*.tmp.*"))


def test_a_full_disk_is_told_once_and_the_last_one_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with held(folder) as (checkpoints, told):
        with monkeypatch.context() as patch:
            patch.setattr(np, "save", full)
            checkpoints.save(some(3))
            checkpoints.save(some(4))
            checkpoints.wait()
        assert told == ["no checkpoint can be written: No space left on device"]
        assert loaded_now(checkpoints) == 2
        checkpoints.save(some(5))  # there is room again
    assert loaded(folder) == (5, [])


def loaded_now(checkpoints: Checkpoints) -> int:
    found = checkpoints.load()
    assert found is not None
    return len(found.progress.epochs)


def test_a_folder_is_held_by_one_process_and_freed_when_it_dies(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire();"
        "print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None and other.stdout.readline() == b"held\n"
    monkeypatch.setattr(checkpoint, "_LOCK_SECONDS", 0.2)
    with pytest.raises(CheckpointsInUse, match="another process trains with the checkpoints in"):
        loaded(folder)
    other.kill()
    other.communicate()
    assert loaded(folder) == (2, [])


def test_the_folder_goes_when_the_trial_is_complete(folder: Path) -> None:
    with held(folder) as (checkpoints, _):
        checkpoints.save(some(3))
        checkpoints.remove()
    assert not folder.exists()


def test_those_that_nobody_goes_on_with_are_removed_after_a_month(folder: Path) -> None:
    old = folder / "ckpt-00001-00000000"
    os.utime(old, (0, 0))
    with held(folder.with_name("2c3d")):
        assert sorted(os.listdir(folder)) == ["ckpt-00002-00000000", "lock"]


def test_a_type_that_numpy_does_not_have_comes_back_bit_by_bit(folder: Path) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([0.1, -3.0, np.nan], ml_dtypes.bfloat16)
    with held(folder) as (checkpoints, _):
        checkpoints.save(Checkpoint(Progress(epochs(3)), [array]))
        found = None if checkpoints.wait() else checkpoints.load()
    assert found is not None
    assert found.arrays[0].view(ml_dtypes.bfloat16).tobytes() == array.tobytes()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Shared, with the checkpoints after the first three epochs of a machine that is lost."""
    with held(tmp_path / "lost" / "0a1b", tmp_path / "shared" / "0a1b") as (checkpoints, told):
        for number in (1, 2, 3):
            checkpoints.save(some(number))
    assert not told
    return tmp_path / "shared" / "0a1b"


def test_another_machine_goes_on_from_what_is_shared(tmp_path: Path, place: Path) -> None:
    assert sorted(os.listdir(place)) == ["ckpt-00002-00000000", "ckpt-00003-00000000"]
    own = tmp_path / "own" / "0a1b"
    with held(own) as (checkpoints, _):
        checkpoints.save(some(9))  # of a training that was forgotten meanwhile
    assert loaded(own, place) == (3, [])


@pytest.mark.parametrize("damage", [flip, truncate, empty])
def test_a_damaged_one_that_is_shared_is_not_used_but_the_one_before(
    tmp_path: Path, place: Path, damage: Callable[[Path], None]
) -> None:
    path = place / "ckpt-00003-00000000"
    path.write_bytes(path.read_bytes()[:1500])  # a tar ends with padding
    damage(path)
    number, [told] = loaded(tmp_path / "own" / "0a1b", place)
    assert number == 2
    assert told.startswith("checkpoint ckpt-00003-00000000 is not used: it is damaged: ")
    assert os.listdir(place) == ["ckpt-00002-00000000"]


def test_what_is_shared_goes_when_the_trial_is_complete_or_begins_anew(
    tmp_path: Path, place: Path
) -> None:
    own = tmp_path / "own" / "0a1b"
    forget(own, str(place))
    assert not place.exists()
    with held(own, place) as (checkpoints, _):
        assert checkpoints.load() is None
        checkpoints.save(some(1))
        checkpoints.wait()
        assert place.exists()
        checkpoints.remove()
    assert not own.exists() and not place.exists()


def test_a_place_that_does_not_serve_is_told_once_and_training_goes_on(tmp_path: Path) -> None:
    (tmp_path / "shared").write_text("a file")
    with held(tmp_path / "0a1b", tmp_path / "shared" / "0a1b") as (checkpoints, told):
        checkpoints.save(some(1))
        checkpoints.save(some(2))
        checkpoints.remove()
    (fault,) = told
    assert fault.startswith("no checkpoint can be written: ")
