"""A disk that is too small, and one that becomes full while a sweep trains."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cnn_pipeline.base.home import Home
from tests.faults.commands import MOMENTS, command, run_again, seconds_since
from tests.faults.promises import all_runs, assert_converged, unfinished
from tests.faults.test_servers_away import EPOCHS, RUN, wait_for_epoch
from tests.recording import Recorded
from tests.running import DEADLINE, gone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LONG = tuple("120" if word == str(EPOCHS) else word for word in RUN)
SOON = 10 + 20  # seconds until the command has ended; on a busy machine


@pytest.fixture
def disk(tmp_path: Path, need: Callable[[bool, str], None]) -> Iterator[Path]:
    """A disk of 120 MB."""
    with mounted(tmp_path / "disk", need) as folder:
        yield folder


@contextlib.contextmanager
def mounted(folder: Path, need: Callable[[bool, str], None]) -> Iterator[Path]:
    """A disk of 120 MB, of its own, at this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", "size=120m", "tmpfs", str(folder)]
    done = subprocess.run(words, capture_output=True, check=False)
    need(done.returncode == 0, "mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def full(disk: Path, leaving: int = 0) -> Iterator[None]:
    """Fill the disk, but for some bytes; if none are left, also with what is freed later.

    A sweep may write to it at the same time: what `fallocate` cannot have is then written.
    """
    filler = disk / "filler"
    over = threading.Event()

    def fill(file: io.FileIO) -> None:
        while not over.wait(0.01):
            with contextlib.suppress(OSError):
                while not over.is_set():
                    file.write(b"0" * 4096)

    with filler.open("wb", buffering=0) as file:
        size = shutil.disk_usage(disk).free - leaving
        os.posix_fallocate(file.fileno(), 0, size if leaving else int(0.9 * size))
        file.seek(0, os.SEEK_END)
        thread = threading.Thread(target=fill, args=[file])
        if not leaving:
            thread.start()
        try:
            yield
        finally:
            over.set()
            if not leaving:
                thread.join()
    filler.unlink()


def test_a_disk_that_is_too_small_is_refused(disk: Path, recorded: Recorded) -> None:
    home = Home(disk)
    with (
        recorded(fault="disk full", moment="before the start", promises="I7 I8"),
        full(disk, leaving=50_000_000),
        command(home, *RUN) as running,
    ):
        assert running.wait(DEADLINE) == 1, running.said()
        last = running.said().splitlines()[-1]
        assert last.startswith(f"error: the disk of {home.mlruns} must have "), last
        assert re.search(r" MB free \(.*\), received (49|50) MB. Make room, or give", last), last
        assert " epoch " not in running.said()
    assert not home.database.exists() or all_runs(home) == []


def test_a_disk_becomes_full_while_a_sweep_trains(disk: Path, recorded: Recorded) -> None:
    home = Home(disk)
    with recorded(fault="disk full", moment="epoch 5", promises="I3 I7") as row:
        with command(home, *LONG) as running:
            wait_for_epoch(running, 5)
            running.look()
            with full(disk):
                begin = time.monotonic()
                assert running.wait(SOON) == 1, running.said()
                last = running.said().splitlines()[-1]
                assert last.startswith("error: a disk is full"), running.said()
                assert "run the same command again: it goes on where it was" in last
                assert gone(set(running.family)), running.alive()
                row.recovered(seconds_since(begin))
        status, said = run_again(home, *LONG)
        assert status == 0, said
        assert "goes on after epoch" in said or "goes on in epoch" in said, said
        assert unfinished(all_runs(home)) == []
        assert_converged(home, {"f2-max-s0"})


# Folders that a sweep can do without, once it trains.
SPARED = ("the checkpoints", "Prefect's database", "the logs", "the cache")
# Others, and the moment at which they become full.
NEEDED = {
    "the database": "training",
    "the temporary files": "logging",
    "the artifacts": "logging",
}


@pytest.fixture
def disks(tmp_path: Path, need: Callable[[bool, str], None]) -> Iterator[dict[str, Path]]:
    """A disk for each folder that a sweep writes to."""
    mlruns = tmp_path / "home" / "mlruns"
    places = {
        "the database": mlruns,
        "the artifacts": mlruns / "artifacts",
        "the checkpoints": mlruns / "state" / "checkpoints",
        "Prefect's database": mlruns / "state" / "prefect",
        "the logs": mlruns / "state" / "logs",
        "the cache": tmp_path / "cache",
        "the temporary files": tmp_path / "temporary files",
    }
    with contextlib.ExitStack() as stack:
        for folder in places.values():
            stack.enter_context(mounted(folder, need))
        yield places


@pytest.fixture
def variables(disks: dict[str, Path]) -> dict[str, str]:
    """They have a command write to the small disks."""
    return {
        "CNN_PIPELINE_CACHE": str(disks["the cache"]),
        "TMPDIR": str(disks["the temporary files"]),
    }


@pytest.mark.long
def test_folders_that_a_sweep_can_do_without_become_full(
    disks: dict[str, Path], variables: dict[str, str], tmp_path: Path, recorded: Recorded
) -> None:
    home = Home(tmp_path / "home")
    with (
        contextlib.ExitStack() as stack,
        command(home, *RUN, pause_at=MOMENTS["training"], **variables) as running,
    ):
        for name in SPARED:
            moment = f"{name}, while a sweep trains"
            stack.enter_context(recorded(fault="disk full", moment=moment, promises="I3"))
        running.wait_for_pause(3 * DEADLINE)
        with contextlib.ExitStack() as filled:
            for name in SPARED:
                filled.enter_context(full(disks[name]))
            running.resume()
            assert running.wait(DEADLINE) == 0, running.said()
        assert "no checkpoint can be written: No space left on device" in running.said()
        assert_converged(home, {"f2-max-s0"})


@pytest.mark.long
def test_each_other_folder_becomes_full(
    disks: dict[str, Path], variables: dict[str, str], tmp_path: Path, recorded: Recorded
) -> None:
    """Each command goes on with what the one before has left."""
    home = Home(tmp_path / "home")
    for name, moment in NEEDED.items():
        shown = f"{name}, {moment}"
        with (
            recorded(fault="disk full", moment=shown, promises="I3 I7") as row,
            command(home, *RUN, pause_at=MOMENTS[moment], **variables) as running,
        ):
            running.wait_for_pause(3 * DEADLINE)
            with full(disks[name]):
                begin = time.monotonic()
                running.resume()
                assert running.wait(SOON) == 1, running.said()
                last = running.said().splitlines()[-1]
                assert last.startswith("error: a disk is full"), running.said()
                if name == "the artifacts":
                    assert last.startswith(f"error: a disk is full ({disks[name]}/"), last
                assert "run the same command again: it goes on where it was" in last
                assert gone(set(running.family)), running.alive()
                row.recovered(seconds_since(begin))
    status, said = run_again(home, *RUN, **variables)
    assert status == 0, said
    assert f"goes on after epoch {EPOCHS} of {EPOCHS}" in said, said  # nothing was trained again
    assert unfinished(all_runs(home)) == []
    assert_converged(home, {"f2-max-s0"})
