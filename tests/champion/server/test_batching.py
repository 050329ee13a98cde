"""Small requests share a pass, versions never do, and too many requests are refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import numpy as np
import pytest

from cnn_pipeline.champion.server.batching import MAX_BATCH, Batcher, Overloaded

T = TypeVar("T")


class Echo:
    """A model that answers with the first pixel of each image, times a factor."""

    def __init__(self, factor: int = 1) -> None:
        self.factor = factor
        self.batches: list[int] = []
        self.release = threading.Event()
        self.release.set()
        self.busy = 0

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        self.busy += 1
        assert self.busy == 1, "two calls at a time"
        assert self.release.wait(30)
        self.batches.append(len(pixels))
        self.busy -= 1
        if (pixels == 255).any():
            raise ZeroDivisionError("white")
        return pixels[:, 0, 0].astype(np.float32) * self.factor


def images(*values: int) -> np.ndarray:
    return np.array(values, np.uint8).reshape(-1, 1, 1, 1)


def run(work: Callable[[Batcher], Awaitable[T]], max_requests: int = 64) -> T:
    async def main() -> T:
        batcher = Batcher(max_requests)
        task = asyncio.create_task(batcher.run())
        try:
            return await asyncio.wait_for(work(batcher), 30)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return asyncio.run(main())


def test_requests_of_one_moment_share_a_pass_and_get_their_own_rows() -> None:
    model = Echo()
    sent = [images(*range(start, start + count)) for start, count in ((1, 3), (10, 1), (20, 2))]
    received = run(lambda batcher: asyncio.gather(*(batcher.predict(model, own) for own in sent)))
    assert model.batches == [6]
    for own, rows in zip(sent, received, strict=True):
        np.testing.assert_array_equal(rows, own[:, 0, 0])


def test_a_pass_holds_no_more_than_it_may() -> None:
    model = Echo()
    half = images(*[1] * (MAX_BATCH // 2))
    large = images(*[2] * (MAX_BATCH + 44))

    async def work(batcher: Batcher) -> list[np.ndarray]:
        sent = [half, half, half, large, half]
        return list(await asyncio.gather(*(batcher.predict(model, own) for own in sent)))

    received = run(work)
    assert model.batches == [MAX_BATCH, MAX_BATCH // 2, MAX_BATCH + 44, MAX_BATCH // 2]
    assert [len(rows) for rows in received] == [128, 128, 128, 300, 128]


def test_two_versions_never_share_a_pass() -> None:
    old, new = Echo(1), Echo(10)

    async def work(batcher: Batcher) -> list[np.ndarray]:
        asked = [(old, 1), (old, 2), (new, 3), (old, 4)]
        return list(
            await asyncio.gather(*(batcher.predict(model, images(v)) for model, v in asked))
        )

    assert [float(rows[0, 0]) for rows in run(work)] == [1, 2, 30, 4]
    assert (old.batches, new.batches) == ([2, 1], [1])


def test_what_comes_while_the_model_computes_is_gathered() -> None:
    model = Echo()
    model.release.clear()

    async def work(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.predict(model, images(1)))
        while not model.busy:
            await asyncio.sleep(0.001)
        later = [asyncio.create_task(batcher.predict(model, images(v))) for v in range(2, 12)]
        await asyncio.sleep(0)
        model.release.set()
        await asyncio.gather(first, *later)

    run(work)
    assert model.batches == [1, 10]


def test_a_failing_pass_fails_its_requests_and_no_other() -> None:
    model = Echo()

    async def work(batcher: Batcher) -> tuple[list[object], np.ndarray]:
        failed = await asyncio.gather(
            *(batcher.predict(model, images(v)) for v in (255, 3)), return_exceptions=True
        )
        return list(failed), await batcher.predict(model, images(3))

    failed, after = run(work)
    assert [type(error) for error in failed] == [ZeroDivisionError] * 2
    assert after[0, 0] == 3


def test_a_client_that_left_disturbs_nobody() -> None:
    model = Echo()
    model.release.clear()

    async def work(batcher: Batcher) -> np.ndarray:
        gone = asyncio.create_task(batcher.predict(model, images(1)))
        stays = asyncio.create_task(batcher.predict(model, images(2)))
        while not model.busy:
            await asyncio.sleep(0.001)
        gone.cancel()
        await asyncio.sleep(0)
        model.release.set()
        return await stays

    assert run(work)[0, 0] == 2


def test_more_requests_than_may_wait_are_refused_until_one_is_answered() -> None:
    async def work(batcher: Batcher) -> None:
        with batcher.slot():
            with (
                batcher.slot(),
                pytest.raises(Overloaded, match="2 requests are waiting"),
                batcher.slot(),
            ):
                pass
            with batcher.slot():
                pass

    run(work, max_requests=2)
