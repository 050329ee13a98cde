"""Cache of files that take seconds to create and are the same every time.

A file's name holds the version it was made from and its own SHA-256, so that files of other
versions and damaged files are never used. If the folder cannot be read or written, the file is
created again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from cnn_pipeline.base.files import open_file, read_file, sha256_of

_FOLDER = "made"


def kept_content(root: Path, name: str, of: str) -> bytes | None:
    """The cached file `name` of version `of` below `root`, verified; None if there is none."""
    for path in _candidates(root, name, of):
        with contextlib.suppress(OSError):  # replaced by another process, or not readable
            content = read_file(path)
            if path.name.rpartition("-")[2] == hashlib.sha256(content).hexdigest():
                return content
    return None


def kept_map(root: Path, name: str, of: str) -> mmap.mmap | None:
    """The same, mapped into memory: read where it is looked at, and never held as a whole.

    The map stays as it is when the file is deleted.
    """
    for path in _candidates(root, name, of):
        with contextlib.suppress(OSError, ValueError), open_file(path) as file:  # or it is empty
            if path.name.rpartition("-")[2] == hashlib.file_digest(file, "sha256").hexdigest():
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return None


def keep_file(root: Path, name: str, of: str, write: Callable[[Path], object]) -> None:
    """Cache the file that `write` creates at the path it gets; delete other versions."""
    folder = root / _FOLDER
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with _own_file(folder) as new:
            write(new)
            kept = folder / f"{name}-{of}-{sha256_of(new)}"
            os.replace(new, kept)
        for other in set(folder.glob(f"{name}-*")) - {kept}:
            other.unlink(missing_ok=True)


def need_room(path: Path, size: int) -> None:
    """Raise an OSError if the disk of a file to be written has not so many bytes left."""
    if shutil.disk_usage(path.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _candidates(root: Path, name: str, of: str) -> list[Path]:
    try:
        return sorted((root / _FOLDER).glob(f"{name}-{of}-*"))
    except OSError:  # the folder of another user, without read permission
        return []


@contextlib.contextmanager
def _own_file(folder: Path) -> Iterator[Path]:
    """A new, empty file with a unique name; deleted after the block unless it was renamed.

    It gets the folder's read and write permissions.
    """
    handle, name = tempfile.mkstemp(dir=folder, prefix=".new-")
    os.close(handle)
    Path(name).chmod(folder.stat().st_mode & 0o666)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
