"""Whether a retraining may start now: its slot is fresh, and no other one runs."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from cnn_pipeline.base.holding import try_hold
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
    missed: bool = False
    """Whether its slot passed unused. False if a newer slot is due, which says so if need be."""


def check_slot(slot: Slot, now: datetime.datetime, stale_after_minutes: int) -> Admission:
    """Refuse a slot that is too old or has been overtaken by a newer one."""
    if slot.due is None:
        return Admission()
    late = now - slot.due
    if late > datetime.timedelta(minutes=stale_after_minutes):
        return Admission(
            f"its slot of {_utc(slot.due)} is {duration(late.total_seconds())} old, more than the "
            f"{stale_after_minutes} minutes of stale_after_minutes",
            missed=slot.newer is None,
        )
    if slot.newer is not None:
        return Admission(
            f"its slot of {_utc(slot.due)} is superseded by the one of {_utc(slot.newer)}"
        )
    return Admission()


@contextlib.contextmanager
def only_one(home: Home) -> Iterator[Admission]:
    """Hold the lock of retrainings until the block ends, or say who holds it."""
    with try_hold(home.state, "retrain") as holder:
        yield Admission("" if holder is None else f"another retraining runs ({holder})")


def _utc(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
