"""Slots that are too old, and the lock of retrainings."""

from __future__ import annotations

import datetime
import os

from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.retraining.admission import Slot, check_slot, only_one

NOW = datetime.datetime(2026, 3, 2, 12, 0, tzinfo=datetime.UTC)


def ago(**span: float) -> datetime.datetime:
    return NOW - datetime.timedelta(**span)


def test_a_run_without_a_slot_is_never_late() -> None:
    assert check_slot(Slot(None), NOW, 1).reason == ""


def test_a_fresh_slot_goes_on() -> None:
    assert check_slot(Slot(ago(minutes=59)), NOW, 60).reason == ""


def test_a_stale_slot_is_skipped_with_its_age() -> None:
    reason = check_slot(Slot(ago(days=2)), NOW, 60).reason
    assert "2026-02-28 12:00:00 UTC" in reason and "48 h old" in reason and "60 minutes" in reason


def test_a_superseded_slot_is_skipped_and_names_the_newer() -> None:
    reason = check_slot(Slot(ago(minutes=30), newer=ago(minutes=1)), NOW, 60).reason
    assert "superseded by the one of 2026-03-02 11:59:00 UTC" in reason


def test_a_slot_is_missed_only_if_no_newer_one_is_due() -> None:
    """After an outage the newest slot runs, or it is the only one that people are told of."""
    assert check_slot(Slot(ago(days=2)), NOW, 60).missed
    assert not check_slot(Slot(ago(days=2), newer=ago(days=1)), NOW, 60).missed
    assert not check_slot(Slot(ago(minutes=30), newer=ago(minutes=1)), NOW, 60).missed


def test_the_second_is_told_who_runs_and_since_when(home: Home) -> None:
    with only_one(home) as first, only_one(home) as second:
        assert first.reason == ""
        assert f"another retraining runs (process {os.getpid()}, since 2" in second.reason
    with only_one(home) as third:
        assert third.reason == ""
