"""What a sweep asks of its trainers, wherever they run."""

from __future__ import annotations

import itertools
import threading
from typing import NoReturn, Protocol

from cnn_pipeline.base.errors import Interrupted
from cnn_pipeline.tracking.store import Store
from cnn_pipeline.trainers.messages import AnyJob, Job, Reply

_POLL_SECONDS = 1.0


class Trainers(Protocol):
    """Trainers that run jobs: `TrainerPool` on this machine, `RayPool` on a cluster.

    What a trainer tells during a job is emitted as events of this process.
    """

    count: int
    """Jobs at a time, at most."""
    now: int
    """Jobs at a time as the machines are now: a cluster grows and shrinks."""
    threads: int
    """Of each trainer."""
    stopped: str
    """Why, once they are closed; else empty."""

    def run(self, job: AnyJob) -> Reply:
        """Run one job on an idle trainer, and block until it ends.

        Raises:
            Interrupted: no job can go on; the trainers are closed.
        """

    def close(self, why: str = "the sweep was stopped") -> None:
        """End all trainers. Their current jobs are lost; their replies say why."""


class Gate:
    """Keeps threads from their first job until there is a trainer for each.

    Without it, a run would start and then wait.
    """

    def __init__(self, pool: Trainers) -> None:
        self._pool = pool
        self._numbers = itertools.count(1)
        self._over = threading.Event()

    def enter(self) -> None:
        """Block this thread, which calls it once, until there is a trainer for it.

        The first never waits here: the pool says what to do without any trainer.
        """
        number = next(self._numbers)
        while number > max(1, self._pool.now) and not self._pool.stopped:
            if self._over.wait(_POLL_SECONDS):
                return

    def open(self) -> None:
        """Let all threads in: no job is left."""
        self._over.set()


def give_up(job: AnyJob, reason: str) -> NoReturn:
    """Wait no longer for the job's store, and raise: no job can go on. The trainers are closed."""
    if isinstance(job, Job):
        from cnn_pipeline.tracking.patience import patience_with  # imports MLflow

        patience_with(Store(job.store_uri, job.artifacts_uri)).lose()
    raise Interrupted(reason)
