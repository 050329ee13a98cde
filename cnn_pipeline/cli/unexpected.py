"""Errors that no command expects: of the machine, in a sentence; of ours, with a log file.

A machine's faults (a full disk, a file that may not be read, no memory, a lock on the store) may
come up in any line of any command, so they are told apart here. No traceback is on the screen.
"""

from __future__ import annotations

import datetime
import errno
import os
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.files import make_private
from cnn_pipeline.base.home import cache_dir
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.base.shell import SOCKS
from cnn_pipeline.base.space import full_disk
from cnn_pipeline.base.versions import versions

_PLACE = (
    "make it readable and writable for you, or choose another place: --home, CNN_PIPELINE_CACHE"
)
_REMEDIES = {
    errno.EACCES: _PLACE,
    errno.EPERM: _PLACE,
    errno.EROFS: _PLACE,
    errno.ENOTDIR: "give the path of a folder",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.EMFILE: "let a process open more files: ulimit -n 4096",
    errno.ENFILE: "end other processes: the machine has no more open files",
    errno.EIO: "look at the disk: it has a fault",
    errno.ESTALE: "mount the folder again",
}


class MachineFault(UserError):
    """Something is wrong with the machine, and not with the command."""

    exit_code = 1


def machine_fault(error: BaseException) -> UserError | None:
    """The error as a sentence with a remedy, if it is none of ours; else None."""
    if (full := full_disk(error)) is not None:
        return full
    if isinstance(error, MemoryError):
        return MachineFault(
            "the machine must have enough free memory, and has not. Take fewer trainers with "
            "--workers 1, a smaller --batch-size, or end other processes. Images of an .npz file "
            "are held in memory; those of folders and of IDX files are read from the disk."
        )
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        named = f"{error.filename}: " if error.filename else ""
        said = os.strerror(error.errno).lower()
        return MachineFault(f"{named}{said}. Please {_REMEDIES[error.errno]}.")
    if isinstance(error, ImportError) and "socksio" in str(error):
        return MachineFault(SOCKS)
    if "mlflow" in sys.modules:
        from cnn_pipeline.tracking.sentences import in_a_sentence

        return in_a_sentence(error)
    return None


def describe(error: BaseException, argv: Sequence[str]) -> str:
    """The error in a sentence, and what to do with it. Writes the log file that it names."""
    said = " ".join(str(error).split()).rstrip(".")
    what = f"unexpected {type(error).__name__}" + (f": {said}" if said else "")
    try:
        log = _write(error, argv)
    except OSError as refused:
        return (
            f"{what}. This is a fault of cnn-pipeline, and no log file could be written "
            f"({refused.strerror}): set CNN_PIPELINE_DEBUG=1 and run it again for a traceback."
        )
    return (
        f"{what}. This is a fault of cnn-pipeline, not of yours: please report it to its authors "
        f"with this log file: {log}"
    )


def _write(error: BaseException, argv: Sequence[str]) -> Path:
    """Write the command, the versions and the traceback, without secrets, to a private file."""
    now = datetime.datetime.now(datetime.UTC)
    installed = ", ".join(f"{name} {version}" for name, version in versions().items())
    text = (
        f"{now.isoformat(timespec='seconds')}\n"
        f"cnn-pipeline {shlex.join(argv)}\n"
        f"{installed}\n\n"
        f"{''.join(traceback.format_exception(error))}"
    )
    name = f"{now:%Y%m%d-%H%M%S}-{os.getpid()}.log"
    try:
        folder = cache_dir(os.environ) / "errors"
        make_private(folder)
        return _private(folder / name, text)
    except (OSError, UserError):  # read-only, or no path
        return _private(Path(tempfile.mkdtemp(prefix="cnn-pipeline-")) / name, text)


def _private(path: Path, text: str) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(redacted(text))
    return path
