"""Steps in stretches, each one call: long enough to be fast, short enough to tell of progress."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

SECONDS_BETWEEN_TOLD = 0.4
_FIRST_STRETCH = 16


class Stretches:
    """Remembers from epoch to epoch how many steps make a stretch.

    That follows from their speed, and changes no number: losses come back step by step.
    """

    def __init__(self) -> None:
        self._length = _FIRST_STRETCH

    def run(
        self,
        steps: int,
        call: Callable[[slice], tuple[np.ndarray, int]],
        told: Callable[[int], None],
    ) -> tuple[np.ndarray, int]:
        """Take so many steps: the losses of each, float64 `[steps]`, and hits.

        Args:
            steps: how many; may be none.
            call: takes those in a slice; returns their losses and hits.
            told: called after each stretch with the steps that are done.
        """
        losses = np.empty(steps)
        hits = done = 0
        while done < steps:
            started = time.perf_counter()
            stretch = slice(done, min(done + self._length, steps))
            losses[stretch], right = call(stretch)
            hits += right
            if done:  # the first call may compile
                each = (time.perf_counter() - started) / (stretch.stop - done)
                self._length = max(1, int(SECONDS_BETWEEN_TOLD / each))
            done = stretch.stop
            told(done)
        return losses, hits
