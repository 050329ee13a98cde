"""Process groups: found, told apart, and ended with everything in them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cnn_pipeline.base import identity
from cnn_pipeline.base.identity import ProcessId, identify
from cnn_pipeline.services import processes
from cnn_pipeline.services.processes import (
    Patience,
    end_groups,
    groups_below,
    is_running,
    start,
)
from tests.running import descendants, wait_until

STUBBORN = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('deaf', flush=True); time.sleep(600)"
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "service.log"


@pytest.fixture
def started(log: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    made: list[subprocess.Popen[bytes]] = []
    yield made
    for process in made:
        process.kill()
        process.wait()


def begin(
    started: list[subprocess.Popen[bytes]], log: Path, *command: str
) -> tuple[subprocess.Popen[bytes], ProcessId]:
    process = start(command, os.environ, log)
    started.append(process)
    found = identify(process.pid)
    assert found is not None
    return process, found


def test_a_process_is_alive_until_it_ends(
    started: list[subprocess.Popen[bytes]], log: Path
) -> None:
    process, found = begin(started, log, "sleep", "600")
    assert found.alive and is_running(found)
    assert identify(os.getpid()) is not None
    process.kill()
    # Not collected yet: a zombie is not alive.
    wait_until(lambda: not found.alive, "the zombie counts as dead")
    assert not is_running(found)


def test_another_process_of_the_same_number_is_not_mistaken(
    started: list[subprocess.Popen[bytes]], log: Path
) -> None:
    process, found = begin(started, log, "sleep", "600")
    earlier = ProcessId(found.pid, "long ago")
    assert not earlier.alive and not is_running(earlier)
    assert groups_below(earlier) == []
    end_groups([earlier], 0.1)
    assert process.poll() is None


def test_the_clock_does_not_change_who_a_process_is(
    started: list[subprocess.Popen[bytes]], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does another process see it differently."""
    _, found = begin(started, log, "sleep", "600")
    code = (
        "import sys; from cnn_pipeline.base.identity import identify; "
        "print(identify(int(sys.argv[1])).started)"
    )
    words = [sys.executable, "-c", code, str(found.pid)]
    assert subprocess.check_output(words, text=True).strip() == found.started
    if identity._BOOT_ID.exists():
        later = psutil.boot_time() + 3600
        monkeypatch.setattr("psutil._pslinux.boot_time", lambda: later)
        assert psutil.boot_time() == later
        assert found.alive


def test_a_group_ends_with_its_children(started: list[subprocess.Popen[bytes]], log: Path) -> None:
    process, found = begin(started, log, "sh", "-c", "sleep 601 & sleep 602 & wait")
    wait_until(lambda: len(descendants(found.pid)) == 2, "both children run")
    children = descendants(found.pid)
    end_groups([found], 0.5)
    assert process.wait() != 0
    assert all(identify(pid) is None for pid in children)


def test_what_does_not_listen_is_killed(started: list[subprocess.Popen[bytes]], log: Path) -> None:
    process, found = begin(started, log, sys.executable, "-c", STUBBORN)
    wait_until(lambda: "deaf" in log.read_text(), "it ignores the signal")
    end_groups([found], 0.3)
    assert process.wait() == -9


def test_what_a_dead_leader_has_left_is_ended(
    started: list[subprocess.Popen[bytes]], log: Path
) -> None:
    process, found = begin(started, log, "sh", "-c", "sleep 603 & wait")
    wait_until(lambda: len(descendants(found.pid)) == 1, "its child runs")
    process.kill()
    process.wait()
    assert not found.alive and is_running(found)
    end_groups([found], 5)
    assert not is_running(found)


def test_groups_below_are_found_as_the_worker_makes_them(
    started: list[subprocess.Popen[bytes]], log: Path
) -> None:
    code = (
        "import subprocess, time; "
        "p = subprocess.Popen(['sleep', '604'], start_new_session=True); print(p.pid, flush=True); "
        "time.sleep(600)"
    )
    _, found = begin(started, log, sys.executable, "-c", code)
    wait_until(lambda: log.read_text().strip().isdigit(), "the child is started")
    below = groups_below(found)
    assert [leader.pid for leader in below] == [int(log.read_text())]
    end_groups(below, 5)
    assert groups_below(found) == []


def test_a_long_log_gives_way_to_a_new_one(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_LOG_BYTES", 10)
    for text in ("first", "a second that is long", "third"):
        start(["echo", text], os.environ, log).wait()
    assert log.read_text() == "third\n"
    assert log.with_suffix(".log.1").read_text() == "first\na second that is long\n"


@pytest.mark.parametrize(("work", "patient"), [("while True: pass", True), ("input()", False)])
def test_a_process_is_waited_for_while_it_uses_the_processor(work: str, patient: bool) -> None:
    with subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE) as process:
        time.sleep(1)  # the interpreter has started
        patience = Patience(process.pid, seconds=1)
        given_up = False
        for _ in range(30):
            time.sleep(0.1)
            given_up |= patience.over
        process.kill()
    assert given_up is not patient
