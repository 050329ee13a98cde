"""Files that take seconds to make and are the same every time: made once, kept in a folder.

A kept file's name holds what it was made from and its own SHA-256, so that what another version
made, or what was damaged, is never taken for it. A folder that cannot be written, or not be read,
costs only the next making.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

_FOLDER = "made"


def kept_content(root: Path, name: str, of: str) -> bytes | None:
    """What was kept below `root` under `name` for the version `of`, whole; None without it."""
    try:
        paths = sorted((root / _FOLDER).glob(f"{name}-{of}-*"))
    except OSError:  # another user's, who lets nobody look into it
        return None
    for path in paths:
        with contextlib.suppress(OSError):  # another process has replaced it; it is another user's
            content = path.read_bytes()
            if path.name.rpartition("-")[2] == hashlib.sha256(content).hexdigest():
                return content
    return None


def keep_file(root: Path, name: str, of: str, write: Callable[[Path], object]) -> None:
    """Keep below `root` what `write` puts into the path it gets; files of other versions go."""
    folder = root / _FOLDER
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with own_file(folder) as new:
            write(new)
            kept = folder / f"{name}-{of}-{hashlib.sha256(new.read_bytes()).hexdigest()}"
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
