"""Bodies within limits of size, time and memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import Request

from cnn_pipeline.champion.server import body
from cnn_pipeline.champion.server.batching import Overloaded
from cnn_pipeline.champion.server.body import Room, read_body
from cnn_pipeline.champion.server.request import Refused


def ignored(count: int) -> None:
    """Memory without a limit."""


def request(receive: Callable[[], Awaitable[dict[str, Any]]]) -> Request:
    """A request whose body comes from `receive`, its length not announced."""
    return Request({"type": "http", "method": "POST", "headers": []}, receive)


def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> dict[str, Any]:
        await asyncio.sleep(3600)
        raise AssertionError

    monkeypatch.setattr(body, "BODY_SECONDS", 0.01)
    with pytest.raises(Refused, match="must arrive within 0 s, received 0 bytes") as caught:
        asyncio.run(read_body(request(never), ignored))
    assert caught.value.status == 408


@pytest.mark.parametrize(("chunks", "status"), [(10, None), (11, 413), (20, 413), (10_000, 413)])
def test_a_body_is_read_to_its_limit_and_discarded_beyond(
    chunks: int, status: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "MAX_BODY_BYTES", 1000)
    monkeypatch.setattr(body, "DISCARDED_BYTES", 2000)
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"x" * 100, "more_body": taken < chunks}

    if status is None:
        assert asyncio.run(read_body(request(receive), ignored)) == b"x" * 1000
        return
    with pytest.raises(Refused, match="at most 1000 bytes") as caught:
        asyncio.run(read_body(request(receive), ignored))
    assert caught.value.status == status
    assert taken == min(chunks, 21)


def test_bodies_share_a_limit_and_small_ones_are_always_read() -> None:
    room = Room()
    big = body.MAX_HELD_BYTES - 10
    with room.share() as first:
        first(big)
        with room.share() as second:
            second(body.SMALL_BODY_BYTES)
            with pytest.raises(Overloaded, match="other requests hold 255 MiB"):
                second(1)
    with room.share() as third:  # all was given back
        third(big)
