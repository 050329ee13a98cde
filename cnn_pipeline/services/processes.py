"""Process groups: who is in one, whether it lives, and how all of it is ended.

Each service leads a group of its own, and Prefect's worker gives each run another one.
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
    """A process that cannot be mistaken for a later one of the same number."""

    pid: int
    started: str
    """When it began: the boot and the seconds after it, or the time of day."""

    @property
    def alive(self) -> bool:
        """Whether this very process runs; a zombie does not."""
        return identify(self.pid) == self


def identify(pid: int) -> ProcessId | None:
    """The process of that number; None where there is none, or a zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return ProcessId(pid, _started(process))
    return None


def _started(process: psutil.Process) -> str:
    """The same text for one process in every other, also after the clock was set."""
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except FileNotFoundError:  # macOS
        return f"{process.create_time():.2f}"
    # Linux counts from the boot; psutil adds the time of the boot, which moves with the clock.
    return f"{boot} {process.create_time() - psutil.boot_time():.2f}"


def start(command: Sequence[str], environ: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, with its output at the end of `log`."""
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
    """Whether anything of the group lives that `leader` began."""
    # While a group has members, its number is given to no new process.
    if identify(leader.pid) not in (None, leader):
        return False
    return any(_leader_of(pid) == leader.pid and identify(pid) for pid in psutil.pids())


def groups_below(leader: ProcessId) -> list[ProcessId]:
    """Leaders of the other groups among the descendants of a process."""
    if not leader.alive:
        return []
    with contextlib.suppress(psutil.NoSuchProcess):
        pids = [child.pid for child in psutil.Process(leader.pid).children(recursive=True)]
        return [found for pid in pids if _leader_of(pid) == pid and (found := identify(pid))]
    return []


def _leader_of(pid: int) -> int | None:
    """Number of a process's group; None where the process has ended."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def end_groups(leaders: Iterable[ProcessId], grace_seconds: float) -> None:
    """End every process of some groups: the leaders are asked, who end their own children.

    Whatever is left of a group after `grace_seconds` is killed.
    """
    left = [leader for leader in leaders if is_running(leader)]
    for leader in left:
        with contextlib.suppress(ProcessLookupError):
            if leader.alive:
                os.kill(leader.pid, signal.SIGTERM)
            else:  # nobody is left to ask
                os.killpg(leader.pid, signal.SIGTERM)
    for leader in _still_running(left, grace_seconds):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader.pid, signal.SIGKILL)
    _still_running(left, _KILLED_SECONDS)


def _still_running(leaders: list[ProcessId], seconds: float) -> list[ProcessId]:
    """The groups that have not ended after `seconds`; returns as soon as all have."""
    deadline = time.monotonic() + seconds
    while leaders := [leader for leader in leaders if is_running(leader)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return leaders
