"""Compute requests that wait at the same time in one forward pass."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

# Only for the first batch: under load the next one collects while the model computes.
WINDOW_SECONDS = 0.002
MAX_BATCH = 256
MAX_REQUESTS = 64


class Overloaded(Exception):
    """The largest number of waiting requests is reached."""


class Predictor(Protocol):
    """A model from uint8 `[n, h, w, c]` to float32 `[n, classes]`."""

    def predict(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]: ...


@dataclass(frozen=True, eq=False)
class _Job:
    model: Predictor
    pixels: npt.NDArray[np.uint8]
    answer: asyncio.Future[npt.NDArray[np.float32]]


class Batcher:
    """Combines requests for the same model into one call, with one call at a time.

    A request keeps its model, so after a change of champion no version answers for another.
    """

    def __init__(self, max_requests: int = MAX_REQUESTS) -> None:
        self._max_requests = max_requests
        self._requests = 0
        self._waiting: deque[_Job] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """A slot for one request, from before its body is read until it is answered.

        Slots limit the queue and the memory for bodies.

        Raises:
            Overloaded: no slot is free.
        """
        if self._requests >= self._max_requests:
            raise Overloaded(f"{self._requests} requests are waiting; retry in a second")
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    async def predict(
        self, model: Predictor, pixels: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.float32]:
        """Predictions of `model` for uint8 `[n, h, w, c]`: float32 `[n, classes]`."""
        job = _Job(model, pixels, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._arrived.set()
        return await job.answer

    async def run(self) -> None:
        """Answer requests until cancelled."""
        try:
            while True:
                await self._arrived.wait()
                await asyncio.sleep(WINDOW_SECONDS)
                while self._waiting:
                    await self._answer(self._next_batch())
                self._arrived.clear()
        finally:
            for job in self._waiting:
                job.answer.cancel()
            self._thread.shutdown(wait=False)

    def _next_batch(self) -> list[_Job]:
        """The first job, and the next ones for the same model that fit into a batch."""
        batch = [self._waiting.popleft()]
        images = len(batch[0].pixels)
        while (
            self._waiting
            and self._waiting[0].model is batch[0].model
            and images + len(self._waiting[0].pixels) <= MAX_BATCH
        ):
            batch.append(self._waiting.popleft())
            images += len(batch[-1].pixels)
        return batch

    async def _answer(self, batch: list[_Job]) -> None:
        pixels = np.concatenate([job.pixels for job in batch])
        loop = asyncio.get_running_loop()
        try:
            rows = await loop.run_in_executor(self._thread, batch[0].model.predict, pixels)
        except Exception as error:
            for job in batch:
                if not job.answer.done():
                    job.answer.set_exception(error)
            return
        ends = np.cumsum([len(job.pixels) for job in batch])
        for job, own in zip(batch, np.split(rows, ends[:-1]), strict=True):
            if not job.answer.done():
                job.answer.set_result(own)
