"""Durations and shares as people read them."""

import pytest

from cnn_pipeline.base.quantities import clock, duration, percent, signed


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (-1, "0.0 s"),
        (0.2, "0.2 s"),
        (2.44, "2.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (41.2, "41 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (250, "4 min 10 s"),
        (725, "12 min 5 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h"),
        (7500, "2 h 5 min"),
        (12_000, "3 h 20 min"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.4, "0:07"), (760, "12:40"), (3723, "1:02:03"), (-1, "0:00")],
)
def test_a_clock_has_two_digits_for_seconds(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (None, 1, "-"),
        (0.909, 1, "90.9 %"),
        (0.9123, 2, "91.23 %"),
        (0.7, 0, "70 %"),
        (1.0, 1, "100.0 %"),
        (0.99951, 1, "> 99.9 %"),
        (0.99951, 2, "99.95 %"),
        (0.9999999, 2, "> 99.99 %"),
        (0.0, 1, "0.0 %"),
        (0.0004, 1, "< 0.1 %"),
        (0.999, 0, "> 99 %"),
    ],
)
def test_a_share_is_not_rounded_to_all_or_nothing(
    share: float | None, digits: int, text: str
) -> None:
    assert percent(share, digits) == text


@pytest.mark.parametrize(
    ("difference", "text"),
    [(None, "-"), (0.0081, "+0.81"), (-0.0125, "-1.25"), (-0.00001, "0.00"), (0.0, "0.00")],
)
def test_a_difference_of_shares_has_its_sign(difference: float | None, text: str) -> None:
    assert signed(difference) == text
