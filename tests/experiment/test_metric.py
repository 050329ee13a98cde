"""A sweep on classes of unequal size is measured by balanced accuracy from start to end."""

from __future__ import annotations

import pytest

from cnn_pipeline.base import events
from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.data_card import DataCard
from cnn_pipeline.experiment.decide import _measured
from cnn_pipeline.experiment.stored import load_comparison
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.tracking.overview import list_sweeps
from cnn_pipeline.tracking.store import open_store
from tests.experiment.scripted_store import whole


def card(*counts: int) -> DataCard:
    """The description of data with so many training images of each class."""
    found = object.__new__(DataCard)
    object.__setattr__(found, "fitted_counts", counts)
    return found


def test_it_is_said_that_another_metric_decides() -> None:
    told: list[object] = []
    with events.listening(told.append):
        assert _measured(Sweep(), card(60, 50)) == Sweep()
        assert _measured(Sweep(metric="accuracy"), card(600, 50)).measure == "accuracy"
        assert told == []
        assert _measured(Sweep(), card(600, 0, 50)).measure == "balanced_accuracy"
    assert told == [
        events.DataWarning(
            "the largest class has 600 training and validation images and the smallest 50, so the "
            "sweep is measured by balanced accuracy (--metric accuracy counts every image the "
            "same). --class-weights balanced makes up for it in training"
        )
    ]


def test_a_stored_sweep_is_compared_and_listed_by_its_metric(home: Home) -> None:
    """Of 200 images of two classes; f3 gets the first 31 wrong, 16 of one class."""
    sweep = Sweep(axes=Axes(filters=(2, 3)), seeds=(0, 1), metric="balanced_accuracy")
    wrong = {"f2-max-s0": 10, "f2-max-s1": 12, "f3-max-s0": 30, "f3-max-s1": 31}
    whole(home, sweep, "unequal-1", wrong)
    found = load_comparison(None, home)
    assert found.sweep.metric == "balanced_accuracy" and found.verdict.chosen == "f2-max"
    assert found.ranked[0].test_accuracy == pytest.approx(0.945)
    assert found.ranked[1].test_accuracy == pytest.approx((0.85 + (0.84 + 0.85) / 2) / 2)
    (pair,) = found.pairwise
    assert pair.basis == "models" and pair.significant  # two seeds of two variants are too few
    (listed,) = list_sweeps(open_store(home, {}, create=False), 1).sweeps
    assert listed.best is not None and listed.best.metric == "balanced_accuracy"
    assert listed.best.test_accuracy == pytest.approx(0.945)
