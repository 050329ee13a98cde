"""Start, identify and end process groups.

Each service leads a group of its own, and Prefect's worker starts each run in another group.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_LOG_BYTES = 10_000_000
_KILLED_SECONDS = 10
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class ProcessId:
    """A process, distinguished from later processes with the same PID."""

    pid: int
    started: str
    """Its start: the boot's id and the seconds since boot, or on macOS the time."""

    @property
    def alive(self) -> bool:
        """Whether this process still runs; a zombie does not."""
        return identify(self.pid) == self


def identify(pid: int) -> ProcessId | None:
    """The process with this PID; None if there is none or it is a zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return ProcessId(pid, _started(process))
    return None


def _started(process: psutil.Process) -> str:
    """Start of a process as text: the same in every process, even if the clock was changed."""
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except FileNotFoundError:  # macOS
        return f"{process.create_time():.2f}"
    # Linux counts from boot; psutil adds the boot's time, which changes with the clock.
    return f"{boot} {process.create_time() - psutil.boot_time():.2f}"


def start(command: Sequence[str], environ: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own; its output is appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def is_running(leader: ProcessId) -> bool:
    """Whether a process of the group that `leader` started is alive."""
    # The kernel does not reuse a group's number while the group has members.
    if identify(leader.pid) not in (None, leader):
        return False
    return any(_leader_of(pid) == leader.pid and identify(pid) for pid in psutil.pids())


def groups_below(leader: ProcessId) -> list[ProcessId]:
    """Leaders of the process groups below a process, its own group excluded."""
    if not leader.alive:
        return []
    with contextlib.suppress(psutil.NoSuchProcess):
        pids = [child.pid for child in psutil.Process(leader.pid).children(recursive=True)]
        return [found for pid in pids if _leader_of(pid) == pid and (found := identify(pid))]
    return []


def _leader_of(pid: int) -> int | None:
    """PID of the leader of a process's group; None if the process has ended."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def end_groups(leaders: Iterable[ProcessId], grace_seconds: float) -> None:
    """End every process of some groups.

    Leaders get SIGTERM and stop their own children. Processes of a group that are alive after
    `grace_seconds` are killed.
    """
    left = [leader for leader in leaders if is_running(leader)]
    for leader in left:
        with contextlib.suppress(ProcessLookupError):
            if leader.alive:
                os.kill(leader.pid, signal.SIGTERM)
            else:  # the leader has ended already
                os.killpg(leader.pid, signal.SIGTERM)
    for leader in _still_running(left, grace_seconds):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader.pid, signal.SIGKILL)
    _still_running(left, _KILLED_SECONDS)


def _still_running(leaders: list[ProcessId], seconds: float) -> list[ProcessId]:
    """The groups that are alive after `seconds`; returns earlier if none is."""
    deadline = time.monotonic() + seconds
    while leaders := [leader for leader in leaders if is_running(leader)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return leaders
