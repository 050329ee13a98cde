"""Trainer processes as the sweep sees them: started early, reused, replaced when they die."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cnn_pipeline import events
from cnn_pipeline.messages import AnyJob, Reply, from_line

_END_SECONDS = 5
_KEPT_LOGS = 20


class TrainerPool:
    """At most `count` trainer processes of `threads` threads; `run` blocks until a job is done.

    The first starts at once, each other as soon as the one before it has imported TensorFlow:
    until then a sweep's own imports and its server's take the other cores. A job that finds none
    idle before that starts the next itself.
    """

    def __init__(self, count: int, threads: int, log_folder: Path) -> None:
        self.count = count
        self.threads = threads
        self._log_folder = log_folder
        self._idle: queue.Queue[_Trainer] = queue.Queue()
        self._all: list[_Trainer] = []
        self._lock = threading.Lock()
        self._closed = False
        self._places = count - 1
        first = self._start()
        self._idle.put(first)
        if count > 1:
            threading.Thread(target=self._start_others, args=(first,), daemon=True).start()

    def _start_others(self, before: _Trainer) -> None:
        while before.wait_until_ready() and self._claim_place():
            before = self._start()
            self._idle.put(before)

    def _claim_place(self) -> bool:
        with self._lock:
            free = self._places > 0 and not self._closed
            self._places -= free
        return free

    def _start(self) -> _Trainer:
        trainer = _Trainer(self.threads, self._log_folder)
        with self._lock:
            self._all.append(trainer)
            if self._closed:  # while it started: nobody else would end it
                trainer.close()
        return trainer

    def run(self, job: AnyJob) -> Reply:
        """Run one job on the next idle trainer; a trainer that dies answers FAILED."""
        trainer = self._take()
        try:
            reply = None if self._closed else trainer.run(job)
            return Reply("KILLED", "the sweep was stopped") if self._closed or not reply else reply
        finally:
            if not trainer.alive and not self._closed:
                trainer = self._start()
            self._idle.put(trainer)

    def _take(self) -> _Trainer:
        another = self._idle.empty() and self._claim_place()
        return self._start() if another else self._idle.get()

    def close(self) -> None:
        """End all trainers; what they were doing is lost."""
        with self._lock:
            self._closed = True
            for trainer in self._all:
                trainer.close()


class _Trainer:
    def __init__(self, threads: int, log_folder: Path) -> None:
        log_folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cnn_pipeline.trainer", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            # Information and warnings of TensorFlow's start are noise in a log of failures.
            env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ},
        )
        self.log_file = log_folder / f"trainer-{self._process.pid}.log"
        assert self._process.stderr is not None
        self._log = threading.Thread(
            target=_copy, args=(self._process.stderr, self.log_file), daemon=True
        )
        self._log.start()
        self._ready = threading.Event()
        threading.Thread(target=self._read_ready, daemon=True).start()
        _forget_old_logs(log_folder)

    def _read_ready(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):  # closed meanwhile
            self._process.stdout.readline()
        self._ready.set()

    def wait_until_ready(self) -> bool:
        """Block until the trainer takes jobs, or has ended; whether it takes them."""
        self._ready.wait()
        return self.alive

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def run(self, job: AnyJob) -> Reply:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(job.to_line())
            self._process.stdin.flush()
            self._ready.wait()
            for line in self._process.stdout:
                message = from_line(line)
                if isinstance(message, Reply):
                    return message
                events.emit(message)
        except (BrokenPipeError, ValueError) as error:
            self._process.kill()
            return Reply("FAILED", f"{self._ending()} ({error})")
        except BaseException:
            # Its answer to this job would be read as the answer to the next.
            self._process.kill()
            self._process.wait()
            raise
        return Reply("FAILED", self._ending())

    def _ending(self) -> str:
        code = self._process.wait()
        self._log.join(timeout=_END_SECONDS)
        if code < 0:
            name = signal.Signals(-code).name
            hint = "; the system ends the largest process when memory runs out"
            return f"the trainer was ended by {name}" + (hint if name == "SIGKILL" else "")
        return f"the trainer ended with status {code}; see {self.log_file}"

    def close(self) -> None:
        # Not a polite request: on its pipe's end a trainer would report its runs as orphaned,
        # but the sweep that closes it is there to say how they ended.
        self._process.kill()
        self._process.wait()
        self._log.join(timeout=_END_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue


def _copy(stream: IO[str], path: Path) -> None:
    with path.open("w", encoding="utf-8") as log:
        for line in stream:
            log.write(line)
            log.flush()


def _forget_old_logs(folder: Path) -> None:
    logs = sorted(folder.glob("trainer-*.log"), key=lambda path: path.stat().st_mtime)
    for path in logs[:-_KEPT_LOGS]:
        path.unlink(missing_ok=True)


_warm: list[TrainerPool] = []


def warm_up(count: int, threads: int, log_folder: Path) -> None:
    """Start trainers now, for the next `trainers` of the same size: TensorFlow takes seconds."""
    _warm.append(TrainerPool(count, threads, log_folder))


def close_warm() -> None:
    """End trainers that were started and never used."""
    while _warm:
        _warm.pop().close()


@contextmanager
def trainers(count: int, threads: int, log_folder: Path) -> Iterator[TrainerPool]:
    """A pool of trainers, a warm one where there is one; ended with the block."""
    pool = next((p for p in _warm if (p.count, p.threads) == (count, threads)), None)
    if pool is not None:
        _warm.remove(pool)
    else:
        pool = TrainerPool(count, threads, log_folder)
    try:
        yield pool
    finally:
        pool.close()
