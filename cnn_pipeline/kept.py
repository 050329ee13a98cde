"""Files that take seconds to make and are the same every time: made once, kept in the cache.

A kept file's name holds what it was made from and its own SHA-256, so that what another version
made, or what was damaged, is never taken for it. A cache that cannot be written costs only the
next making.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

_FOLDER = "made"


def kept_file(cache: Path, name: str, of: str) -> Path | None:
    """The whole file that was kept under `name` for the version `of`; None without one."""
    for path in sorted((cache / _FOLDER).glob(f"{name}-{of}-*")):
        with contextlib.suppress(OSError):  # another process has replaced it; it is another user's
            if path.name.rpartition("-")[2] == _sha256(path):
                return path
    return None


def keep_file(cache: Path, name: str, of: str, write: Callable[[Path], object]) -> None:
    """Keep what `write` puts into the path it gets; files of other versions go."""
    folder = cache / _FOLDER
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with own_file(folder) as new:
            write(new)
            kept = folder / f"{name}-{of}-{_sha256(new)}"
            os.replace(new, kept)
        for other in set(folder.glob(f"{name}-*")) - {kept}:
            other.unlink(missing_ok=True)


@contextlib.contextmanager
def own_file(folder: Path) -> Iterator[Path]:
    """An empty file that no other process has, gone after the block unless it was renamed.

    Who may read and write it is as in the folder.
    """
    handle, name = tempfile.mkstemp(dir=folder, prefix=".new-")
    os.close(handle)
    Path(name).chmod(folder.stat().st_mode & 0o666)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
