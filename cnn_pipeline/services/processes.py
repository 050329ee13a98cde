"""Process groups: who is in one, whether it lives, and how all of it is ended.

Each service leads a group of its own, and Prefect's worker gives each run another one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LOG_BYTES = 10_000_000
_KILLED_SECONDS = 10
_PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessId:
    """A process that cannot be mistaken for a later one of the same number."""

    pid: int
    started: str
    """When it began, in the system's own words: with the boot, where that counts from it."""

    @property
    def alive(self) -> bool:
        """Whether this very process runs; a dead one that nobody has collected does not."""
        return any(row.pid == self.pid and row.started == self.started for row in _processes())


@dataclass(frozen=True)
class _Row:
    pid: int
    parent: int
    group: int
    started: str


def identify(pid: int) -> ProcessId | None:
    """The process of that number; None where there is none."""
    return next((ProcessId(pid, row.started) for row in _processes() if row.pid == pid), None)


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
    rows = list(_processes())
    # While a group has members, its number is given to no new process.
    reused = any(row.pid == leader.pid and row.started != leader.started for row in rows)
    return not reused and any(row.group == leader.pid for row in rows)


def groups_below(leader: ProcessId) -> list[ProcessId]:
    """Leaders of the other groups among the descendants of a process."""
    children: dict[int, list[_Row]] = {}
    for row in _processes():
        children.setdefault(row.parent, []).append(row)
    found = []
    left = list(children.get(leader.pid, ()))
    while left:
        row = left.pop()
        left += children.get(row.pid, ())
        if row.group == row.pid:
            found.append(ProcessId(row.pid, row.started))
    return found


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


def _processes() -> Iterator[_Row]:
    """Every process that lives. Dead ones wait in the table until their parent looks."""
    if (_PROC / "self" / "stat").exists():
        yield from _from_proc()
    else:
        yield from _from_ps()


def _from_proc() -> Iterator[_Row]:
    # Ticks since the boot: after the next one, a service may begin at the same number and tick.
    boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # ended a moment ago
            continue
        # The name stands in brackets and may hold anything.
        fields = text.rpartition(")")[2].split()
        if fields[0] not in "ZX":
            yield _Row(int(folder.name), int(fields[1]), int(fields[2]), f"{boot} {fields[19]}")


def _from_ps() -> Iterator[_Row]:
    done = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,pgid=,stat=,lstart="],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    for line in done.stdout.splitlines():
        pid, parent, group, state, started = line.split(maxsplit=4)
        if not state.startswith("Z"):
            yield _Row(int(pid), int(parent), int(group), started)
