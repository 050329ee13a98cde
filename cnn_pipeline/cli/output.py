"""Output of commands: JSON, files, and a stdout that only the command writes to."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from cnn_pipeline.base.errors import InvalidInput

NAME = "cnn-pipeline"


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object. NaN and infinity, which JSON does not have, become null."""
    click.echo(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def program() -> str:
    """How to call this program from the current folder: '.venv/bin/cnn-pipeline' after `make`."""
    if shutil.which(NAME):
        return NAME
    path = os.path.relpath(sys.argv[0])
    return shlex.quote(path) if os.path.basename(path) == NAME else "python -m cnn_pipeline.cli"


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
    if not os.access(path.parent, os.W_OK):
        raise InvalidInput([f"{flag}: folder {str(path.parent)!r} must be writable"])
    return path
