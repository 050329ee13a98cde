"""Measure the latency of a model while it is evaluated."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cnn_pipeline.data.rows import Images

LARGE_BATCH = 256
# Least number of timed calls by batch size, after the first, which may trace.
_CALLS = {1: 30, LARGE_BATCH: 5}


@dataclass(frozen=True)
class Latency:
    """Median milliseconds per image of a forward pass, by batch size."""

    batch_1: float
    batch_256: float


class Timed:
    """Wraps `predict` and records the duration of each call by the number of images."""

    def __init__(self, predict: Callable[[np.ndarray], np.ndarray]) -> None:
        self._predict = predict
        self._seconds: defaultdict[int, list[float]] = defaultdict(list)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Predict and record the duration."""
        started = time.perf_counter()
        answers = self._predict(images)
        self._seconds[len(images)].append(time.perf_counter() - started)
        return answers

    def latency(self, images: Images) -> Latency:
        """Latency over all calls so far without the first of each size; adds calls if necessary."""
        return Latency(batch_1=self._median(images, 1), batch_256=self._median(images, LARGE_BATCH))

    def _median(self, images: Images, size: int) -> float:
        batch = np.resize(images[:size], (size, *images.shape[1:]))
        while len(self._seconds[size]) <= _CALLS[size]:
            self(batch)
        return float(np.median(self._seconds[size][1:])) / size * 1000


@dataclass(frozen=True)
class InTurn:
    """Latencies of two models for one image, measured in turn."""

    first_ms: float
    """Median milliseconds of the first model."""
    ratio: float
    """Median over the pairs of calls: first model's time divided by the second's."""


def measure_in_turn(
    first: Callable[[np.ndarray], np.ndarray],
    second: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    pairs: int = 2 * _CALLS[1],
    clock: Callable[[], float] = time.perf_counter,
) -> InTurn:
    """Call two models in turn with `image`, `[1, h, w, c]`.

    Other work on the host slows both calls of a pair alike, so it changes the ratio little. Within
    a pair each goes first every other time.
    """
    models = (first, second)
    seconds = np.empty((pairs, 2))
    for predict in models:  # may trace
        predict(image)
    for pair in range(pairs):
        for which in (0, 1) if pair % 2 else (1, 0):
            started = clock()
            models[which](image)
            seconds[pair, which] = clock() - started
    return InTurn(
        first_ms=float(np.median(seconds[:, 0])) * 1000,
        ratio=float(np.median(seconds[:, 0] / seconds[:, 1])),
    )
