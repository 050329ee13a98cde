"""Read what a header announces, without taking the memory before the bytes are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

_CHUNK = 1 << 20


class Stream(Protocol):
    """What `open`, gzip and zipfile return."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty at the end."""


def read_up_to(stream: Stream, size: int) -> bytearray:
    """The next `size` bytes, or fewer at the end of the stream."""
    content = bytearray()
    for chunk in chunks_up_to(stream, size):
        content += chunk
    return content


def chunks_up_to(stream: Stream, size: int) -> Iterator[bytes]:
    """The same, at most a MB at a time."""
    while size and (chunk := stream.read(min(_CHUNK, size))):
        size -= len(chunk)
        yield chunk
