"""Time, processor time and memory of a command, with all processes it starts."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_SAMPLE_SECONDS = 0.25
_SAMPLES_TO_MEMORY = 6
"""Counting a process' pages takes the kernel 5 ms: where time is measured too, once in one and a
half seconds must do."""
_PR_SET_CHILD_SUBREAPER = 36
_TAIL = 30


class CommandFailed(Exception):
    """A measured command ended with another status than 0, or ran past its limit."""


@dataclass(frozen=True)
class Timed:
    """One run of a command."""

    wall_s: float
    """Seconds from its start to its end, the interpreter's start included."""
    cpu_s: float
    """Processor seconds (user and system) of the command and everything it started."""
    peak_mib: float
    """The most memory that its processes had resident at once, in MiB, a page that several share
    counted once. On other systems than Linux: that of the greatest process."""
    output: str
    """What it wrote to stdout."""

    def as_json(self) -> dict[str, Any]:
        """The figures, for `json.dump`; without the output."""
        return {key: value for key, value in asdict(self).items() if key != "output"}


def timed(
    words: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    limit_s: float = 7200,
    memory_first: bool = False,
) -> Timed:
    """Run a command to its end and measure it.

    Processor time is what the system counted for the processes that were waited for, or what
    samples saw, whichever is more: a process that nobody waits for is missing from the first, the
    last quarter of a second of each process from the second.

    Args:
        words: the command and its arguments.
        environment: variables beside those of this process.
        folder: where it runs; by default here.
        limit_s: after these seconds it is killed.
        memory_first: look at memory in every sample, for a peak that lasts less than a second; it
            takes a tenth of a core from what is measured.

    Raises:
        CommandFailed: it failed or took too long; the message ends with what it wrote last.
    """
    line = [str(word) for word in words]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, _adopting_orphans():
        watch = _Watch(1 if memory_first else _SAMPLES_TO_MEMORY)
        begin = time.perf_counter()
        process = subprocess.Popen(
            line,
            stdout=out,
            stderr=err,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, **(environment or {})},
        )
        late = threading.Event()
        timer = threading.Timer(limit_s, _kill, (process.pid, late))
        try:
            timer.start()
            watch.start()
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            timer.cancel()
            watch.stop()
            if process.returncode is None:
                process.kill()
                process.wait()
            _end_orphans(watch.orphans())
        output, errors = (_text(file) for file in (out, err))
    if process.returncode != 0:
        why = (
            f"ran past {limit_s:.0f} s"
            if late.is_set()
            else f"ended with status {process.returncode}"
        )
        last = "\n".join((output + errors).splitlines()[-_TAIL:])
        raise CommandFailed(f"{' '.join(line)}\n{why}; it wrote last:\n{last}")
    greatest = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return Timed(
        wall_s=wall,
        cpu_s=max(usage.ru_utime + usage.ru_stime, watch.cpu_seconds()),
        peak_mib=max(greatest, watch.peak_mib),
        output=output,
    )


def answers_at_once(
    words: Sequence[str], count: int, environment: Mapping[str, str] | None = None
) -> list[Any]:
    """What `count` processes of one command, run at the same time, print as JSON in the last line.

    Args:
        words: the command and its arguments.
        count: how many of it.
        environment: all variables; by default those of this process.

    Raises:
        CommandFailed: one of them failed.
    """
    started = [
        subprocess.Popen(words, stdout=subprocess.PIPE, env=environment, text=True)
        for _ in range(count)
    ]
    outputs = [process.communicate()[0] for process in started]
    for process in started:
        if process.returncode:
            raise CommandFailed(f"{' '.join(words)}\nended with status {process.returncode}")
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def rotated(items: Sequence[T], by: int) -> list[T]:
    """The items, beginning with another in each round."""
    start = by % len(items)
    return [*items[start:], *items[:start]]


class _Watch(threading.Thread):
    """Samples the processes that appear below this one, from Linux's /proc.

    Made before the command starts, so that what ran before is left out.
    """

    def __init__(self, samples_to_memory: int) -> None:
        super().__init__(daemon=True)
        self._samples_to_memory = samples_to_memory
        self.peak_mib = 0.0
        self._before = set(_below(os.getpid(), _processes()))
        self._cpu: dict[tuple[int, int], float] = {}
        self._samples = 0
        self._ended = threading.Event()

    def run(self) -> None:
        """Sample until `stop`."""
        while True:
            self._sample()
            if self._ended.wait(_SAMPLE_SECONDS):
                return

    def stop(self) -> None:
        """End the sampling; once the thread runs."""
        self._ended.set()
        if self.is_alive():
            self.join()

    def cpu_seconds(self) -> float:
        """Processor seconds that the samples have seen."""
        return sum(self._cpu.values())

    def orphans(self) -> list[int]:
        """Processes of the command that outlive it."""
        return [pid for pid in _below(os.getpid(), _processes()) if pid not in self._before]

    def _sample(self) -> None:
        processes = _processes()
        family = [pid for pid in _below(os.getpid(), processes) if pid not in self._before]
        for pid in family:
            self._cpu[pid, processes[pid].started] = processes[pid].cpu_s
        self._samples += 1
        if self._samples % self._samples_to_memory == 0:
            self.peak_mib = max(self.peak_mib, sum(map(_resident_mib, family)))


@dataclass(frozen=True)
class _Process:
    parent: int
    started: int
    cpu_s: float


def _processes() -> dict[int, _Process]:
    """Every process by its number; empty where there is no /proc."""
    tick = os.sysconf("SC_CLK_TCK")
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in brackets may hold spaces, so the fields are counted from behind it.
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        found[int(entry.parent.name)] = _Process(
            parent=int(fields[1]),
            started=int(fields[19]),
            cpu_s=(int(fields[11]) + int(fields[12])) / tick,
        )
    return found


def _resident_mib(pid: int) -> float:
    """Of one process, a share only of each page that it shares; nothing where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 2**10


def _below(root: int, processes: Mapping[int, _Process]) -> list[int]:
    """The descendants of a process."""
    children: dict[int, list[int]] = {}
    for pid, process in processes.items():
        children.setdefault(process.parent, []).append(pid)
    found, left = [], list(children.get(root, ()))
    while left:
        pid = left.pop()
        found.append(pid)
        left.extend(children.get(pid, ()))
    return found


@contextlib.contextmanager
def _adopting_orphans() -> Iterator[None]:
    """On Linux, processes whose parent ends become children of this one, so they are seen."""
    if sys.platform != "linux":
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _end_orphans(pids: Sequence[int], patience_s: float = 10) -> None:
    """Wait for the processes that a command left behind, then kill them: the next is in line."""
    ends = time.monotonic() + patience_s
    left = list(pids)
    while left and time.monotonic() < ends:
        left = [pid for pid in left if not _gone(pid)]
        time.sleep(0.05 if left else 0)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _gone(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return not Path(f"/proc/{pid}").exists()


def _kill(pid: int, late: threading.Event) -> None:
    late.set()
    os.kill(pid, signal.SIGKILL)


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode("utf-8", errors="replace"))
