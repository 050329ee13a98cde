"""Writing a file whole, and the SHA-256 of a file."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file that is there whole or not at all, also after a power loss; text as UTF-8.

    Raises:
        OSError: it cannot be written; an old file is as before.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        scratch.write_bytes(content if isinstance(content, bytes) else content.encode())
        move_whole(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def move_whole(new: Path, path: Path) -> None:
    """Move a written file to a path in the same folder, so that both survive a power loss."""
    _sync(new)
    new.replace(path)
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder
        _sync(path.parent)


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
