"""Locks that name their holder. The kernel releases them if the process dies."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from cnn_pipeline.base.files import make_private, read_file, write_whole


@contextlib.contextmanager
def try_hold(folder: Path, name: str, what: str = "") -> Iterator[str | None]:
    """Hold the lock `name` in `folder` until the block ends, if it is free.

    Yields:
        None if the block holds it, else who does: 'retrain, process 123, since 2026-03-02 ...'.
    """
    make_private(folder)
    record = folder / f"{name}.json"
    lock = FileLock(folder / f"{name}.lock", timeout=0)
    try:
        acquired = lock.acquire()
    except Timeout:
        yield _holder(record)
        return
    with acquired:
        since = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        write_whole(record, json.dumps({"what": what, "pid": os.getpid(), "since": since}))
        try:
            yield None
        finally:
            record.unlink(missing_ok=True)


def _holder(record: Path) -> str:
    try:
        fields = json.loads(read_file(record))
        what = f"{fields['what']}, " if fields["what"] else ""
        return f"{what}process {fields['pid']}, since {fields['since']}"
    except (OSError, ValueError, KeyError):
        return "it has just started"
