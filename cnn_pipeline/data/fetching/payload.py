"""Decompress and verify what a source delivers, never reading beyond the expected size."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import BinaryIO

from cnn_pipeline.base.files import open_file, sha256_of
from cnn_pipeline.data.catalog import CatalogFile

GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20


class PayloadError(Exception):
    """The bytes are not the payload in the catalog; the message says why."""


def unpack(packed: BinaryIO, target: BinaryIO, file: CatalogFile) -> None:
    """Write the payload in `packed`, gzip or plain, to `target`.

    Decompresses at most one byte more than expected, so a decompression bomb does no harm.

    Raises:
        PayloadError: wrong format, size or hash; the content of `target` is useless then.
    """
    magic = packed.read(2)
    packed.seek(0)
    stream: BinaryIO = gzip.GzipFile(fileobj=packed) if magic == GZIP_MAGIC else packed  # type: ignore[assignment]
    digest = hashlib.sha256()
    left = file.payload_bytes + 1
    try:
        while left and (chunk := stream.read(min(_CHUNK, left))):
            left -= len(chunk)
            digest.update(chunk)
            if left:
                target.write(chunk)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise PayloadError(f"not a complete gzip file: {error}") from error
    if left == 0:
        raise PayloadError(f"larger than the expected {file.payload_bytes:,} bytes")
    if left != 1:
        raise PayloadError(
            f"{file.payload_bytes + 1 - left:,} bytes instead of {file.payload_bytes:,}"
            + _looks_like(packed)
        )
    if digest.hexdigest() != file.sha256:
        raise PayloadError(
            f"sha256 is {digest.hexdigest()}, must be {file.sha256}" + _looks_like(packed)
        )


def _looks_like(packed: BinaryIO) -> str:
    packed.seek(0)
    start = packed.read(256).lstrip().lower()
    return "; it is a web page" if start.startswith((b"<!doctype", b"<html", b"<?xml")) else ""


def is_verified(path: Path, file: CatalogFile) -> bool:
    """Whether `path` is exactly the payload; False if there is no such file."""
    try:
        return path.stat().st_size == file.payload_bytes and sha256_of(path) == file.sha256
    except OSError:
        return False


def read_verified(path: Path, file: CatalogFile) -> bytes:
    """The payload at `path`, after its size and hash were checked.

    Raises:
        PayloadError: the file is not the payload.
        OSError: it cannot be read.
    """
    with open_file(path) as stream:
        data = stream.read(file.payload_bytes + 1)
    if len(data) != file.payload_bytes or hashlib.sha256(data).hexdigest() != file.sha256:
        raise PayloadError("damaged: size or sha256 is wrong")
    return data
