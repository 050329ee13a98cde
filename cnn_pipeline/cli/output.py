"""Output of commands: JSON, files, and a stdout that only the command writes to."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from cnn_pipeline.base import events
from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.files import open_file

NAME = "cnn-pipeline"
_ESCAPES = "cnn-pipeline-escapes"


def program() -> str:
    """How to call this program from the current folder: '.venv/bin/cnn-pipeline' after `make`."""
    if shutil.which(NAME):
        return NAME
    path = os.path.relpath(sys.argv[0])
    return shlex.quote(path) if os.path.basename(path) == NAME else "python -m cnn_pipeline.cli"


def home_words(flag: str | None) -> str:
    """The words ' --home DIR' for a command to print; empty without the flag."""
    return "" if flag is None else f" --home {shlex.quote(flag)}"


@contextlib.contextmanager
def clean_stdout() -> Iterator[None]:
    """Redirect stdout to stderr inside the block, for libraries and child processes.

    Native code and child processes do not use `sys.stdout`, so the file descriptor is redirected.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@contextlib.contextmanager
def stages_told() -> Iterator[None]:
    """Print on stderr what a short command waits for, and what it warns of."""

    def tell(event: events.Event) -> None:
        if isinstance(event, events.Stage):
            click.echo(event.text, err=True)

    with events.listening(tell):
        yield


def print_anything() -> None:
    """Have this process print what its terminal's encoding lacks as \\uXXXX, instead of failing.

    JSON reads that as the character.
    """
    codecs.register_error(_ESCAPES, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPES)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def readable_fault(name: str, text: str) -> str:
    """Why a path is not that of a file that can be read; empty if it is."""
    if not text:
        return f"{name}: must be the path of a file, received ''"
    try:
        open_file(Path(text)).close()
    except FileNotFoundError:
        return f"{text}: no such file"
    except OSError as error:
        return f"{text}: {error.strerror}"
    return ""


def writable_file(flag: str, text: str) -> Path:
    """Path of a file that can be written.

    Raises:
        InvalidInput: the path is a folder, or its folder is missing or read-only.
    """
    path = Path(text)
    if not text or path.is_dir():
        raise InvalidInput([f"{flag}: must be the path of a file, received {text!r}"])
    if not path.parent.is_dir():
        raise InvalidInput([f"{flag}: folder {str(path.parent)!r} does not exist; make it first"])
    require_writable(flag, path.parent)
    return path


def require_writable(flag: str, folder: Path) -> None:
    """Try to write a file to a folder, or to the nearest one above that is there.

    Raises:
        InvalidInput: it takes none.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        # Permissions do not say it: a file system may take no files at all.
        with tempfile.NamedTemporaryFile(dir=there, prefix=".", suffix=".tmp"):
            pass
    except OSError as error:
        raise InvalidInput(
            [f"{flag}: folder {str(there)!r} must be writable, received: {error.strerror}"]
        ) from None
