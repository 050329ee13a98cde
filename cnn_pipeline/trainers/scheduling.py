"""How many trainers a sweep gets, and the order of its trials."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

from cnn_pipeline.base.machine import available_cores, available_memory, has_gpu
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Trial

TRAINER_BYTES = 2 * 1024**3
"""Memory per trainer: the largest of the default sweep peaks at 1.4 GB."""
WORKERS_ON_GPU = 3
"""Measured with JAX on an H200 with 16 cores."""


def workers_for(asked: int, trials: int) -> int:
    """Trainers at a time: `asked`, or the default for 0.

    The default is one trainer per core, at most one per trial and as many as fit into memory. On
    two cores, two trainers of one thread are faster than one of two threads: no step waits for its
    slower half, and single-threaded work (building, drawing, logging) overlaps
    (`docs/performance.md`). A GPU gets at most three: it waits for the processor during compilation
    and evaluation, but six were no faster than three.
    """
    if asked:
        return asked
    most = min(trials, available_cores(), available_memory() // TRAINER_BYTES)
    return max(1, min(most, WORKERS_ON_GPU) if has_gpu() else most)


def threads_for(sweep: Sweep, workers: int) -> int:
    """Threads of each trainer: as set, else the cores divided by `workers`."""
    return sweep.training.threads or max(1, available_cores() // workers)


def longest_first(trials: Sequence[Trial], expected: Mapping[str, float]) -> list[Trial]:
    """`trials` with those of each seed longest expected first, so that none runs alone at the end.

    The last trainer then ends at most a third later than with the best order (Graham 1969).
    Seeds keep their order, so that an interrupted sweep has complete rounds to compare.
    """
    seeds = dict.fromkeys(trial.seed for trial in trials)
    rounds = {seed: number for number, seed in enumerate(seeds)}
    return sorted(trials, key=lambda trial: (rounds[trial.seed], -expected[trial.name]))


def wall_seconds(durations: Iterable[float], workers: int) -> float:
    """Seconds until the last trial ends, if each in turn goes to the first free trainer."""
    free_at = [0.0] * workers
    for duration in durations:
        heapq.heapreplace(free_at, free_at[0] + duration)
    return max(free_at)
