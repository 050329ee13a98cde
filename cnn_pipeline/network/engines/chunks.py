"""Run steps in chunks, each one call: long enough to be fast, short enough for progress."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from cnn_pipeline.network.history import Sums

SECONDS_BETWEEN_TOLD = 0.4
_FIRST_CHUNK = 16


class Chunks:
    """Runs steps in chunks and remembers the length of a chunk between epochs.

    The length follows from the speed of the steps. It does not change the results, because each
    step returns its own loss.
    """

    def __init__(self) -> None:
        self._length = _FIRST_CHUNK

    def run(
        self,
        steps: int,
        call: Callable[[slice], tuple[np.ndarray, int]],
        told: Callable[[int, Sums], None],
        start: Sums | None = None,
    ) -> tuple[np.ndarray, int]:
        """Run `steps` steps and return their losses, float64 `[steps]`, and the number of hits.

        Args:
            steps: number of steps, at least 0.
            call: runs the steps in a slice and returns their losses and number of hits.
            told: called after each chunk with the number of steps so far and their sums.
            start: sums of the steps that have been run already.
        """
        losses = np.empty(steps)
        hits = first = 0
        if start is not None:
            first, hits = len(start.losses), start.hits
            losses[:first] = start.losses
        done = first
        while done < steps:
            started = time.perf_counter()
            chunk = slice(done, min(done + self._length, steps))
            losses[chunk], right = call(chunk)
            hits += right
            if done > first:  # the first call may compile
                each = (time.perf_counter() - started) / (chunk.stop - done)
                self._length = max(1, int(SECONDS_BETWEEN_TOLD / each))
            done = chunk.stop
            told(done, Sums(losses[:done], hits))
        return losses, hits
