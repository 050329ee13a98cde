"""How many trainers a sweep gets, and which trial goes first."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cnn_pipeline.base.machine import available_cores, available_memory, has_gpu
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Trial

TRAINER_BYTES = 2 * 1024**3
"""Room that one trainer should find: the largest of the default sweep peaks at 1.4 GB."""
WORKERS_ON_GPU = 3
"""Measured with JAX on an H200 beside 16 cores."""


def workers_for(asked: int, trials: int) -> int:
    """Trainers at a time: as asked for, or with 0 the best measured default.

    That is one trainer per core, at most one per trial, as far as memory goes. On two cores two
    trainers of one thread end a sweep earlier than one of two threads: no step waits for the
    slower half of another, and what runs on one core only (building, drawing, logging) overlaps
    (`docs/performance.md`). A GPU gets three at most: compiling and evaluating keep it waiting for
    the processor, but six were no faster than three.
    """
    if asked:
        return asked
    most = min(trials, available_cores(), available_memory() // TRAINER_BYTES)
    return max(1, min(most, WORKERS_ON_GPU) if has_gpu() else most)


def threads_for(sweep: Sweep, workers: int) -> int:
    """Threads of each trainer: as asked for, else the cores shared evenly."""
    return sweep.training.threads or max(1, available_cores() // workers)


@dataclass(frozen=True)
class Crew:
    """The trainers of a sweep."""

    workers: int
    """Trainers at a time."""
    threads: int
    """Of each trainer."""


def crew_for(sweep: Sweep, workers: int) -> Crew:
    """The trainers of a sweep for the `workers` that were asked for; 0 is the default."""
    count = workers_for(workers, len(sweep.trials()))
    return Crew(count, threads_for(sweep, count))


def longest_first(sweep: Sweep, expected: Mapping[str, float]) -> list[Trial]:
    """The trials of each seed by expected seconds, longest first: none runs alone at the end.

    Graham (1969): the last trainer then ends at most a third later than with the best order.
    Seeds stay in their order, so that an interrupted sweep has whole rounds to compare.
    """
    rounds = {seed: number for number, seed in enumerate(sweep.seeds)}
    return sorted(sweep.trials(), key=lambda trial: (rounds[trial.seed], -expected[trial.name]))


def wall_seconds(durations: Iterable[float], workers: int) -> float:
    """Seconds until the last trial ends, each in turn going to the first trainer that is free."""
    free_at = [0.0] * workers
    for duration in durations:
        heapq.heapreplace(free_at, free_at[0] + duration)
    return max(free_at)
