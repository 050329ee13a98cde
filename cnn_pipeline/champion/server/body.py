"""Read the body of a request within limits of size, time and memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from http import HTTPStatus

from starlette.requests import Request

from cnn_pipeline.champion.server.batching import Overloaded
from cnn_pipeline.champion.server.request import Refused

# About 5,000 images of 28x28 raw pixels as text.
MAX_BODY_BYTES = 16 * 2**20
# A body that is too large is read up to this, because a client that is disconnected while it sends
# may not see the error.
DISCARDED_BYTES = 64 * 2**20
BODY_SECONDS = 30.0
# All bodies that are read or wait. Large ones cannot keep small ones out, whose number is limited
# by that of connections.
MAX_HELD_BYTES = 256 * 2**20
SMALL_BODY_BYTES = 64 * 2**10


class Room:
    """Memory for the bodies of all requests."""

    def __init__(self) -> None:
        self._held = 0

    @contextlib.contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """A function that takes so many bytes; they are given back at the end of the context.

        The function raises:
            Overloaded: the bodies of other requests leave no room.
        """
        own = 0

        def take(count: int) -> None:
            nonlocal own
            own += count
            self._held += count
            if own > SMALL_BODY_BYTES and self._held > MAX_HELD_BYTES:
                raise Overloaded(
                    f"other requests hold {(self._held - own) >> 20} MiB; retry in a second, or "
                    f"send at most {SMALL_BODY_BYTES >> 10} KiB"
                )

        try:
            yield take
        finally:
            self._held -= own


async def read_body(request: Request, take: Callable[[int], None]) -> bytes:
    """Read the body; `take` is called with the size of each part that is kept.

    Raises:
        Refused: it has more than `MAX_BODY_BYTES`, or takes more than `BODY_SECONDS`.
        Overloaded: as `take` does.
    """
    announced = request.headers.get("content-length", "")
    announced_bytes = int(announced) if announced.isdecimal() else 0
    received = 0
    chunks: list[bytes] = []
    try:
        async with asyncio.timeout(BODY_SECONDS):
            if announced_bytes <= DISCARDED_BYTES:
                async for chunk in request.stream():
                    received += len(chunk)
                    if received <= MAX_BODY_BYTES:
                        take(len(chunk))
                        chunks.append(chunk)
                    elif received > DISCARDED_BYTES:
                        break
    except TimeoutError:
        raise Refused(
            f"the body must arrive within {BODY_SECONDS:.0f} s, received {received} bytes",
            HTTPStatus.REQUEST_TIMEOUT,
        ) from None
    if max(received, announced_bytes) > MAX_BODY_BYTES:
        raise Refused(
            f"the body must have at most {MAX_BODY_BYTES} bytes, received "
            f"{max(received, announced_bytes)}: send fewer or smaller images per request",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        )
    return b"".join(chunks)
