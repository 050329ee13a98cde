"""Compute requests that wait at the same time in one forward pass."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

# Only for the first batch, and where other requests are under way: under load the next one
# collects while the model computes.
WINDOW_SECONDS = 0.002
MAX_BATCH = 256
MAX_REQUESTS = 64
# A body of nothing but empty lists takes 20 times its size while it is parsed.
_PARSERS = 2

P = ParamSpec("P")
T = TypeVar("T")


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
        self._parsers = ThreadPoolExecutor(_PARSERS, thread_name_prefix="parser")

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """A slot for one request, from when its body has arrived until it is answered.

        Slots limit the queue. A client that sends slowly takes none.

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

    async def parse(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `call` returns, in one of few threads."""
        work = functools.partial(call, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._parsers, work)

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
                if self._requests > 1:
                    await asyncio.sleep(WINDOW_SECONDS)
                while self._waiting:
                    await self._answer(self._next_batch())
                self._arrived.clear()
        finally:
            for job in self._waiting:
                job.answer.cancel()
            for pool in (self._thread, self._parsers):
                pool.shutdown(wait=False, cancel_futures=True)

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
