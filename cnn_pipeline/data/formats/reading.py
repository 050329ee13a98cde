"""Read what a header announces, without taking the memory before the bytes are there."""

from __future__ import annotations

from typing import Protocol

_CHUNK = 1 << 20


class Stream(Protocol):
    """What `open`, gzip and zipfile return."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty at the end."""


def read_up_to(stream: Stream, size: int) -> bytearray:
    """The next `size` bytes, or fewer at the end of the stream."""
    content = bytearray()
    while len(content) < size and (chunk := stream.read(min(_CHUNK, size - len(content)))):
        content += chunk
    return content
