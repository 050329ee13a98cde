"""Space on disks: whether there is enough, and which errors say that there is none."""

from __future__ import annotations

import errno
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnn_pipeline.base.errors import AGAIN, Interrupted, causes

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SAID = ("disk is full", "No space left on device")  # by SQLite; by what wraps an OSError


class NoRoom(Interrupted):
    """A disk is full, or too small for what is asked."""


@dataclass(frozen=True)
class Need:
    """So many bytes will be written below a folder, which may not be there yet."""

    folder: Path
    num_bytes: int
    what: str
    """'models and predictions'."""


def require_room(needs: Sequence[Need], remedy: str) -> None:
    """Check that each disk has room for all that is written to it.

    Raises:
        NoRoom: one has not; with `remedy`, a sentence.
    """
    disks: dict[int, list[Need]] = {}
    for need in needs:
        disks.setdefault(_existing(need.folder).stat().st_dev, []).append(need)
    for on_disk in disks.values():
        asked = sum(need.num_bytes for need in on_disk)
        free = shutil.disk_usage(_existing(on_disk[0].folder)).free
        if free < asked:
            parts = ", ".join(f"{megabytes(need.num_bytes)} for {need.what}" for need in on_disk)
            raise NoRoom(
                f"the disk of {on_disk[0].folder} must have {megabytes(asked)} free ({parts}), "
                f"received {free / 1e6:,.0f} MB. {remedy}"
            )


def full_disk(error: BaseException) -> NoRoom | None:
    """The error to raise where a disk, a quota or a file may not grow; None for other errors."""
    if not is_full(error) or isinstance(error, Interrupted):
        return None
    return NoRoom(f"a disk is full ({_first(error)}). Make room, and {AGAIN}.")


def _first(error: BaseException) -> str:
    """The file of the error, if it names one, else its first line. Of a copy it is the new one."""
    *_, error = causes(error)
    named = error.filename2 or error.filename if isinstance(error, OSError) else None
    return str(named or str(error).splitlines()[0])


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that a disk, a quota or a file may not grow."""
    return error is not None and any(
        (isinstance(one, OSError) and one.errno in _FULL)
        or any(words in str(one) for words in _SAID)
        for one in causes(error)
    )


def megabytes(num_bytes: int) -> str:
    """'12 MB', '1,300 MB', rounded up."""
    return f"{math.ceil(num_bytes / 1e6):,} MB"


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.is_dir())
