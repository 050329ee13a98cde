"""Start and end process groups.

Each service leads a group of its own, and Prefect's worker starts each run in another group.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cnn_pipeline.base.files import make_private
from cnn_pipeline.base.identity import ProcessId, identify

_LOG_BYTES = 10_000_000
_KILLED_SECONDS = 10
# A server that waits for something uses less than this share of a core.
_PROGRESS = 0.01


def start(command: Sequence[str], environ: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own; its output is appended to `log`."""
    make_private(log.parent)
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


@dataclass
class Patience:
    """Waits for a process that starts, as long as it and its children use the processor.

    On a busy machine a server takes minutes to start, so a fixed limit would end healthy ones.
    """

    pid: int
    seconds: float
    """How long it may use (almost) no processor time."""
    _used: float = field(default=0.0, init=False)
    _since: float = field(default_factory=time.monotonic, init=False)

    @property
    def over(self) -> bool:
        """Whether the process stopped making progress."""
        used, now = _processor_seconds(self.pid), time.monotonic()
        if used - self._used > _PROGRESS * self.seconds:
            self._used, self._since = used, now
        return now - self._since > self.seconds


def _processor_seconds(pid: int) -> float:
    """Processor time of a process and its children, also of those that ended, in seconds."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
        return sum(float(t.user + t.system + t.children_user + t.children_system) for t in times)
    return 0.0


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
