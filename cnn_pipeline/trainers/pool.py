"""The trainers of a sweep, on this machine or a cluster; they start early."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.trainers.launching import Launcher
from cnn_pipeline.trainers.local_pool import TrainerPool
from cnn_pipeline.trainers.protocol import Trainers
from cnn_pipeline.trainers.ray_cluster import Cluster
from cnn_pipeline.trainers.ray_pool import RayPool
from cnn_pipeline.trainers.scheduling import threads_for, workers_for

_warm: list[Trainers] = []


@dataclass(frozen=True)
class Crew:
    """The trainers of a sweep."""

    workers: int
    """Trainers at a time."""
    threads: int
    """Of each trainer."""
    cluster: Cluster | None = None
    """Where they run; None is this machine."""

    @property
    def most(self) -> int:
        """Trainers at a time once a cluster has grown."""
        return max(self.workers, self.cluster.most) if self.cluster else self.workers


def crew_for(sweep: Sweep, workers: int) -> Crew:
    """The trainers of a sweep on this machine. `workers` is the number asked for, or 0."""
    count = workers_for(workers, len(sweep.trials()))
    return Crew(count, threads_for(sweep, count))


def warm_up(count: int, threads: int, log_folder: Path, cluster: Cluster | None = None) -> None:
    """Start trainers now for the next `trainers` of the same size, as TensorFlow takes seconds."""
    _warm.append(_new_pool(count, threads, log_folder, cluster))


def close_warm() -> None:
    """End trainers that were started but never used."""
    while _warm:
        _warm.pop().close()


@contextmanager
def trainers(
    count: int,
    threads: int,
    log_folder: Path,
    launcher: Launcher | None = None,
    cluster: Cluster | None = None,
) -> Iterator[Trainers]:
    """A pool of trainers, closed with the block; a warm one if it fits and `launcher` is None.

    See `TrainerPool` for the arguments. They run on `cluster`, if there is one.
    """
    fitting = (p for p in _warm if (p.count, p.threads) == (count, threads))
    pool = next(fitting, None) if launcher is None else None
    if pool is not None:
        _warm.remove(pool)
    else:
        pool = _new_pool(count, threads, log_folder, cluster, launcher)
    try:
        yield pool
    finally:
        pool.close()


def _new_pool(
    count: int,
    threads: int,
    log_folder: Path,
    cluster: Cluster | None,
    launcher: Launcher | None = None,
) -> Trainers:
    if cluster is None:
        return TrainerPool(count, threads, log_folder, launcher)
    return RayPool(count, threads, log_folder, cluster)
