"""Trainers on this machine: each runs several jobs, and is replaced."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path
from typing import BinaryIO

from cnn_pipeline.base import events
from cnn_pipeline.trainers.launching import Launcher, new_launcher, new_log
from cnn_pipeline.trainers.messages import (
    JOBS,
    TRAINER_MESSAGES,
    AnyJob,
    InvalidMessage,
    Reply,
    TrainerMessage,
)
from cnn_pipeline.trainers.protocol import give_up

_KEPT_LOGS = 20
# TensorFlow never frees the graph of a loop that has run: 5 MiB per trial. A fork is cheap.
JOBS_OF_A_TRAINER = 10


class TrainerPool:
    """At most `count` trainers of `threads` threads. `run` blocks until a job is done.

    The first starts at once, the others when a job finds none idle. All log errors to `log_file`.
    A `launcher` from the caller can serve several pools: `close` leaves it open. Without one, or if
    it has died, the pool starts its own.
    """

    def __init__(
        self, count: int, threads: int, log_folder: Path, launcher: Launcher | None = None
    ) -> None:
        self.count = self.now = count
        self.threads = threads
        self.log_file = new_log(log_folder, _KEPT_LOGS)
        self._log = self.log_file.open("ab")
        self._owns_launcher = launcher is None
        self._launcher = launcher or new_launcher(self._log)
        self._places = threading.BoundedSemaphore(count)
        self._lock = threading.Lock()
        self.stopped = ""  # why, once it is closed
        self._all: set[_Trainer] = set()
        self._idle = [self._start()]

    def run(self, job: AnyJob) -> Reply:
        """Run one job on an idle trainer. If it dies, the reply is FAILED.

        Raises:
            Interrupted: no job can go on; the pool is closed.
        """
        with self._places:
            trainer = self._take()
            reply = None if trainer is None else self._ask(trainer, job)
        if reply and reply.stops_sweep and not self.stopped:
            self.close(reply.reason)
            give_up(job, reply.reason)
        return Reply("KILLED", self.stopped) if self.stopped or not reply else reply

    def _take(self) -> _Trainer | None:
        with self._lock:
            if self.stopped:
                return None
            while self._idle:
                trainer = self._idle.pop()
                if trainer.alive and trainer.jobs < JOBS_OF_A_TRAINER:
                    return trainer
                self._all.remove(trainer)
                trainer.kill()
                trainer.close()
            return self._start()

    def _ask(self, trainer: _Trainer, job: AnyJob) -> Reply:
        try:
            return trainer.run(job) or Reply("FAILED", self._how_it_ended(trainer))
        except InvalidMessage as error:
            reason = f"the trainer sent an invalid message and was ended: {error}"
            return Reply("FAILED", f"{reason}; see {self.log_file}")
        finally:
            # Dead and worn-out trainers are replaced lazily; until then they end the sweep's runs
            # if the sweep is killed.
            with self._lock:
                self._idle.append(trainer)

    def _how_it_ended(self, trainer: _Trainer) -> str:
        code = trainer.wait()
        if code >= 0:
            return f"the trainer ended with status {code}; see {self.log_file}"
        try:
            name = signal.Signals(-code).name
        except ValueError:  # a real-time signal
            name = f"signal {-code}"
        hint = "; the system kills the largest process when memory is full"
        return f"the trainer was ended by {name}" + (hint if name == "SIGKILL" else "")

    def _start(self) -> _Trainer:
        if not self._launcher.alive:
            self._close_launcher()
            self._launcher = new_launcher(self._log)
            self._owns_launcher = True
        trainer = _Trainer(self._launcher, self.threads, self._log)
        self._all.add(trainer)
        return trainer

    def close(self, why: str = "the sweep was stopped") -> None:
        """Kill all trainers. Their current jobs are lost; their replies say why."""
        with self._lock:
            self.stopped = self.stopped or why
            # Kill instead of closing pipes: a trainer whose pipe closes marks its runs as orphaned,
            # but here the sweep still sets their status.
            for trainer in self._all:
                trainer.kill()
            self._close_launcher()
            for trainer in self._all:
                trainer.close()
            self._log.close()

    def _close_launcher(self) -> None:
        if self._owns_launcher:
            self._launcher.close()


class _Trainer:
    def __init__(self, launcher: Launcher, threads: int, log: BinaryIO) -> None:
        with contextlib.ExitStack() as theirs:
            their_in, our_out = os.pipe()
            theirs.callback(os.close, their_in)
            self._sent = os.fdopen(our_out, "wb")
            our_in, their_out = os.pipe()
            theirs.callback(os.close, their_out)
            self._heard = os.fdopen(our_in, "rb")
            self._process = launcher.start(threads, their_in, their_out, log)
        self.jobs = 0

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def run(self, job: AnyJob) -> Reply | None:
        """The reply to one job; None if the process ends before.

        Raises:
            InvalidMessage: it sent something else, and was killed.
        """
        self.jobs += 1
        try:
            self._send(job)
            while message := self._next_message():
                if isinstance(message, Reply):
                    return message
                events.emit(message)
        except BaseException:
            # Its reply to this job would be read as the reply to the next.
            self._process.kill()
            self._process.wait()
            raise
        return None

    def _send(self, job: AnyJob) -> None:
        line = JOBS.write(job)
        with contextlib.suppress(BrokenPipeError, ValueError):  # it has ended, or the pool closed
            self._sent.write(line)
            self._sent.flush()

    def _next_message(self) -> TrainerMessage | None:
        """None once the process has ended, even in the middle of a line."""
        try:
            line = self._heard.readline()
        except ValueError:  # the pool is closed
            return None
        return TRAINER_MESSAGES.read(line) if line.endswith(b"\n") else None

    def wait(self) -> int:
        return self._process.wait()

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """Release a process that has been killed."""
        self._process.wait()
        for pipe in (self._sent, self._heard):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
