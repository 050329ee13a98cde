"""New data compared with the champion's; the statistics are checked against SciPy."""

from __future__ import annotations

import pytest
from scipy import stats

from cnn_pipeline.champion.retraining.drift import (
    DataSummary,
    DriftReport,
    DriftSettings,
    chi_square,
    compare_data,
)


def summary(
    classes: tuple[str, ...] = ("boot", "bag", "shirt"),
    fitted: tuple[int, ...] = (600, 600, 600),
    test: tuple[int, ...] = (100, 100, 100),
    shape: tuple[int, int, int] = (28, 28, 1),
) -> DataSummary:
    return DataSummary("d", shape, classes, fitted, test)


def compared(new: DataSummary, **settings: float) -> DriftReport:
    return compare_data(summary(), new, DriftSettings(**settings))


def stopped_by(report: DriftReport) -> list[str]:
    return [finding.name for finding in report.stops]


@pytest.mark.parametrize(
    ("first", "second"),
    [((600, 600, 600), (500, 650, 640)), ((10, 20, 30), (30, 20, 10)), ((5, 0, 9), (3, 4, 9))],
)
def test_the_test_is_scipys(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    ours = chi_square(first, second)
    theirs = stats.chi2_contingency([first, second], correction=False)
    assert ours.statistic == pytest.approx(theirs.statistic)
    assert ours.p_value == pytest.approx(theirs.pvalue)
    assert ours.freedom == theirs.dof
    effect = stats.contingency.association([first, second], method="cramer")
    assert ours.cramers_v == pytest.approx(effect)


def test_equal_shares_of_another_number_of_images_are_no_shift() -> None:
    assert chi_square((600, 600, 600), (60, 60, 60)).p_value == 1.0
    assert stopped_by(compared(summary(fitted=(60, 60, 60)))) == []


def test_a_small_shift_passes_though_it_is_significant() -> None:
    """With many images any shift is significant; the effect size decides."""
    old = summary(fitted=(20_000, 20_000, 20_000))
    new = summary(fitted=(21_000, 20_000, 19_000))
    report = compare_data(old, new, DriftSettings())
    assert stopped_by(report) == []
    (finding,) = [f for f in report.findings if f.name == "label shares of the training images"]
    assert "V = 0.020" in finding.measured


def test_a_large_shift_by_chance_passes() -> None:
    """Three test images against two hundred: large V, but no evidence."""
    assert stopped_by(compared(summary(test=(3, 1, 1)))) == []


def test_a_strong_shift_stops() -> None:
    report = compared(summary(fitted=(1200, 500, 100)))
    assert stopped_by(report) == ["label shares of the training images"]
    assert "required Cramer's V at most 0.1" in report.reason


def test_a_threshold_is_the_users() -> None:
    new = summary(fitted=(1200, 500, 100))
    assert stopped_by(compared(new, max_cramers_v=0.9)) == []


def test_a_vanished_class_stops_and_is_named() -> None:
    report = compared(summary(("boot", "bag"), (900, 900), (150, 150)))
    assert stopped_by(report) == ["classes"]
    assert "gone: shirt" in report.reason


def test_classes_in_another_order_stop() -> None:
    report = compared(summary(("bag", "boot", "shirt")))
    assert stopped_by(report) == ["classes"]
    assert "another order" in report.reason


def test_a_class_without_test_images_stops() -> None:
    report = compared(summary(test=(150, 150, 0)))
    assert "test images of every class" in stopped_by(report)
    assert "none of shirt" in report.reason


def test_another_image_shape_stops() -> None:
    assert stopped_by(compared(summary(shape=(32, 32, 3)))) == ["image shape"]
