"""Whether a retraining may start now: its slot is fresh, and no other one runs."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from cnn_pipeline.base.files import write_whole
from cnn_pipeline.base.home import Home
from cnn_pipeline.base.quantities import duration


@dataclass(frozen=True)
class Slot:
    """When a run was due."""

    due: datetime.datetime | None
    """None for a run that no schedule made."""
    newer: datetime.datetime | None = None
    """A later slot of the same schedule that is due as well."""


@dataclass(frozen=True)
class Admission:
    """Whether a retraining may go on, or why it is skipped."""

    reason: str = ""
    """Empty where it may."""


def check_slot(slot: Slot, now: datetime.datetime, stale_after_minutes: int) -> Admission:
    """Refuse a slot that is too old or has been overtaken by a newer one."""
    if slot.due is None:
        return Admission()
    late = now - slot.due
    if late > datetime.timedelta(minutes=stale_after_minutes):
        return Admission(
            f"its slot of {_utc(slot.due)} is {duration(late.total_seconds())} old, more than the "
            f"{stale_after_minutes} minutes of stale_after_minutes"
        )
    if slot.newer is not None:
        return Admission(
            f"its slot of {_utc(slot.due)} is superseded by the one of {_utc(slot.newer)}"
        )
    return Admission()


@contextlib.contextmanager
def only_one(home: Home) -> Iterator[Admission]:
    """Hold the lock of retrainings until the block ends, or say who holds it.

    The kernel frees it with the process, however that ends.
    """
    folder = home.state
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / "retrain.json"
    lock = FileLock(folder / "retrain.lock", timeout=0)
    try:
        acquired = lock.acquire()
    except Timeout:
        yield Admission(f"another retraining runs ({_holder(holder)})")
        return
    with acquired:
        since = _utc(datetime.datetime.now(datetime.UTC))
        write_whole(holder, json.dumps({"pid": os.getpid(), "since": since}))
        try:
            yield Admission()
        finally:
            holder.unlink(missing_ok=True)


def _holder(path: Path) -> str:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return f"process {fields['pid']}, since {fields['since']}"
    except (OSError, ValueError, KeyError):
        return "it has just started"


def _utc(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
