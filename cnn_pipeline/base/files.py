"""Writing a file or folder whole, and the SHA-256 of a file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from io import BufferedReader
from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, which no other user can enter.

    Folders that are there stay as they are, so whoever shares one with a group still does.
    """
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def file_name(text: str) -> str:
    """A name made of any text, which stays in its folder: '../a b' becomes 'a-b'."""
    return re.sub(r"[^\w.-]+", "-", text).strip(".-")[:100] or "unnamed"


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file that is there whole or not at all, also after a power loss; text as UTF-8.

    Raises:
        OSError: it cannot be written, or something else than a file is there; that, or an old file,
            is as before.
    """
    if path.exists() and not path.is_file():
        raise _no_file(path, path.stat().st_mode)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        scratch.write_bytes(content if isinstance(content, bytes) else content.encode())
        move_whole(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def move_whole(new: Path, path: Path) -> None:
    """Move a written file to a path in the same folder, so that both survive a power loss.

    A folder can be moved too, to a path where nothing is. Its files must have been synced.
    """
    sync(new)
    new.replace(path)
    sync(path.parent)


def open_file(path: Path) -> BufferedReader:
    """Open a file to read its bytes. Opening a pipe would wait for a writer, for ever.

    Raises:
        OSError: it cannot be read, or it is a folder, pipe, socket or device.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise _no_file(path, path.stat().st_mode) from None
        raise
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise _no_file(path, mode)
    return os.fdopen(descriptor, "rb")


def read_file(path: Path) -> bytes:
    """The bytes of a file; errors as `open_file`."""
    with open_file(path) as file:
        return file.read()


def _no_file(path: Path, mode: int) -> OSError:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    kind = kinds.get(stat.S_IFMT(mode), "device")
    return OSError(errno.EINVAL, f"must be a file, and is a {kind}", str(path))


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, read in blocks; errors as `open_file`."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_bytes(content: str | bytes) -> str:
    """SHA-256 (hex) of what `write_whole` would write."""
    return hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()


def sync(path: Path) -> None:
    """Have the content of a file, or the names in a folder, on the disk before this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    # Some file systems cannot sync a folder.
    unable = contextlib.suppress(OSError) if path.is_dir() else contextlib.nullcontext()
    try:
        with unable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
