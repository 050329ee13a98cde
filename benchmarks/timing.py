"""Time, processor time and memory of a command and of all processes that it starts."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
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

import psutil

T = TypeVar("T")
PROGRAM = Path(sys.executable).parent / "cnn-pipeline"
_SAMPLE_SECONDS = 0.25
# The kernel takes 5 ms to count a process's pages: too long for each sample of a timed command.
_SAMPLES_TO_MEMORY = 6
_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE_SECONDS = 10
_TAIL_LINES = 30


class CommandFailed(Exception):
    """A measured command ended with a status other than 0, or ran past its limit."""


@dataclass(frozen=True)
class Timed:
    """One run of a command."""

    wall_s: float
    """Seconds from its start to its end, the start of the interpreter included."""
    cpu_s: float
    """Processor seconds (user and system) of the command and everything it started."""
    peak_mib: float
    """Most memory resident at once in all processes, in MiB; a shared page counts once. On other
    systems than Linux: that of the greatest process."""
    output: str
    """What it wrote to stdout."""

    def as_json(self) -> dict[str, Any]:
        """The figures without the output, for `json.dump`."""
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

    Processor time is the larger of two counts: the system's, which misses processes that nobody
    waits for, and the samples', which miss the last quarter of a second of each process.

    Args:
        words: the command and its arguments.
        environment: variables to set beside those of this process.
        folder: the command's working folder; this process's by default.
        limit_s: kill the command after so many seconds.
        memory_first: read memory in every sample, to see a peak that lasts less than a second. It
            takes a tenth of a core from what is measured.

    Raises:
        CommandFailed: the command failed or took too long; the message ends with its last output.
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
        timer = threading.Timer(limit_s, os.kill, (process.pid, signal.SIGKILL))
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
            _end(watch.family())
        output, errors = (_text(file) for file in (out, err))
    if process.returncode != 0:
        late = wall >= limit_s
        why = f"ran past {limit_s:g} s" if late else f"ended with status {process.returncode}"
        last = "\n".join((output + errors).splitlines()[-_TAIL_LINES:])
        raise CommandFailed(f"{' '.join(line)}\n{why}; it wrote last:\n{last}")
    greatest = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return Timed(
        wall_s=wall,
        cpu_s=max(usage.ru_utime + usage.ru_stime, sum(watch.cpu_s.values())),
        peak_mib=max(greatest, watch.peak_mib),
        output=output,
    )


def answers_at_once(
    words: Sequence[str], count: int, environment: Mapping[str, str] | None = None
) -> list[Any]:
    """Run `count` processes of one command at the same time; each prints JSON in its last line.

    Args:
        words: the command and its arguments.
        count: number of processes.
        environment: all variables; those of this process by default.

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
    """The items, beginning with another one in each round."""
    start = by % len(items)
    return [*items[start:], *items[:start]]


class _Watch(threading.Thread):
    """Samples the processes that appear below this one after it was made."""

    def __init__(self, samples_to_memory: int) -> None:
        super().__init__(daemon=True)
        self.peak_mib = 0.0
        self.cpu_s: dict[psutil.Process, float] = {}
        self._samples_to_memory = samples_to_memory
        self._before = set(psutil.Process().children(recursive=True))
        self._ended = threading.Event()

    def family(self) -> list[psutil.Process]:
        """The command's processes that are alive, its orphans included."""
        return [
            each for each in psutil.Process().children(recursive=True) if each not in self._before
        ]

    def run(self) -> None:
        """Sample until `stop`."""
        for number in itertools.count(1):
            self._sample(memory=number % self._samples_to_memory == 0)
            if self._ended.wait(_SAMPLE_SECONDS):
                return

    def stop(self) -> None:
        """End the sampling."""
        self._ended.set()
        if self.is_alive():
            self.join()

    def _sample(self, *, memory: bool) -> None:
        resident = 0
        for process in self.family():
            with contextlib.suppress(psutil.Error):  # it has ended meanwhile
                times = process.cpu_times()
                self.cpu_s[process] = times.user + times.system
                if memory:
                    resident += getattr(process.memory_full_info(), "pss", 0)
        self.peak_mib = max(self.peak_mib, resident / 2**20)


@contextlib.contextmanager
def _adopting_orphans() -> Iterator[None]:
    """On Linux, make processes whose parent ends children of this one, so that they are seen."""
    if sys.platform != "linux":
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _end(processes: Sequence[psutil.Process]) -> None:
    """Wait for what a command left running, then kill it: the next measurement is in line."""
    _, left = psutil.wait_procs(processes, timeout=_PATIENCE_SECONDS)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=_PATIENCE_SECONDS)


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode("utf-8", errors="replace"))
