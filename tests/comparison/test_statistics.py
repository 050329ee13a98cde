"""Intervals and tests against published examples, SciPy, and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cnn_pipeline.comparison.statistics import (
    Interval,
    geometric_mean,
    paired_interval,
    t_interval,
    welch,
    wilson_interval,
)


def signs(wins: int, losses: int, total: int) -> np.ndarray:
    """Differences of two networks: `wins` times 1, `losses` times -1, the rest 0."""
    return np.repeat([1.0, -1.0, 0.0], [wins, losses, total - wins - losses])


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    # Newcombe (1998), Stat. Med. 17:857, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(successes, total, low, high):
    interval = wilson_interval(successes, total)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000), st.data())
def test_wilson_equals_scipy_and_stays_inside(total, data):
    successes = data.draw(st.integers(0, total))
    expected = stats.binomtest(successes, total).proportion_ci(method="wilson")
    interval = wilson_interval(successes, total)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= interval.low <= successes / total <= interval.high <= 1


@pytest.mark.parametrize(("successes", "total"), [(-1, 5), (6, 5), (0, 0)])
def test_wilson_refuses_impossible_counts(successes, total):
    with pytest.raises(ValueError, match=f"successes={successes}, total={total}"):
        wilson_interval(successes, total)


def test_t_interval_by_hand():
    # Mean 0.91, s.d. 0.01, t(0.975; 2) = 4.30265: half width 0.0248414.
    interval = t_interval([0.90, 0.91, 0.92])
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.8851586, 0.9348414), abs=1e-7)


@pytest.mark.parametrize("values", [[], [0.9], [0.9, 0.9, 0.9], [0.1 + 0.2, 0.3]])
def test_no_t_interval_without_spread(values):
    assert t_interval(values) is None


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8).filter(lambda v: np.ptp(v) > 1e-6))
def test_t_equals_scipy(values):
    expected = stats.ttest_1samp(values, 0)
    interval = t_interval(values)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx(expected.confidence_interval(), rel=1e-6)


@pytest.mark.parametrize(
    ("first", "second"),
    [([0.91, 0.92, 0.915], [0.89, 0.9, 0.86, 0.88]), ([0.5, 0.7], [0.6, 0.65]), ([1, 2], [3, 5])],
)
def test_welch_equals_scipy(first, second):
    expected = stats.ttest_ind(first, second, equal_var=False)
    outcome = welch(first, second)
    assert outcome.difference == pytest.approx(np.mean(first) - np.mean(second))
    assert outcome.interval is not None
    assert (outcome.interval.low, outcome.interval.high) == pytest.approx(
        tuple(expected.confidence_interval()), rel=1e-9
    )


def test_welch_without_spread_has_no_interval():
    assert welch([0.9, 0.9], [0.9, 0.9]).interval is None
    different = welch([0.9, 0.9], [0.8, 0.8])
    assert different.interval is None
    assert different.difference == pytest.approx(0.1)


def test_welch_needs_two_values_a_side():
    with pytest.raises(ValueError, match="received 1 and 2"):
        welch([0.9], [0.8, 0.7])


@given(st.integers(1, 500), st.data())
def test_paired_interval_is_bonett_and_price(total, data):
    wins = data.draw(st.integers(0, total))
    losses = data.draw(st.integers(0, total - wins))
    p12, p21 = (wins + 1) / (total + 2), (losses + 1) / (total + 2)
    half = 1.959963984540054 * math.sqrt((p12 + p21 - (p12 - p21) ** 2) / (total + 2))
    interval = paired_interval(signs(wins, losses, total))
    assert interval.low == pytest.approx(max(-1, p12 - p21 - half), abs=1e-12)
    assert interval.high == pytest.approx(min(1, p12 - p21 + half), abs=1e-12)


def test_paired_interval_by_hand():
    # The airway example again: n = 21, (1 + 1) / 23 - (7 + 1) / 23 = -0.2609, half width 0.2476.
    interval = paired_interval(signs(1, 7, 21))
    assert (interval.low, interval.high) == pytest.approx((-0.5084, -0.0133), abs=1e-4)


def test_paired_interval_of_equal_networks_is_not_of_width_zero():
    interval = paired_interval(np.zeros(1000))
    assert interval.low < 0 < interval.high


@pytest.mark.parametrize("bad", [np.zeros(0), np.zeros((2, 2)), np.array([2.0])])
def test_paired_interval_refuses_other_things(bad):
    with pytest.raises(ValueError, match="between -1 and 1"):
        paired_interval(bad)


@pytest.mark.parametrize(("p_win", "p_loss"), [(0.03, 0.03), (0.05, 0.02), (0.004, 0.001)])
def test_paired_interval_covers_the_truth_as_often_as_it_says(p_win, p_loss):
    rng = np.random.default_rng(20260102)
    images, repeats = 1000, 4000
    counts = rng.multinomial(images, [p_win, p_loss, 1 - p_win - p_loss], size=repeats)
    covered = sum(
        (interval := paired_interval(signs(wins, losses, images))).low
        <= p_win - p_loss
        <= interval.high
        for wins, losses, _ in counts
    )
    # 95 % +- 4 standard errors of the simulation (0.34 %); the rare case may be conservative.
    assert 0.936 <= covered / repeats <= 0.985


def test_interval_knows_its_side():
    assert Interval(0.1, 0.2).excludes_zero
    assert Interval(-0.2, -0.1).excludes_zero
    assert not Interval(-0.1, 0.2).excludes_zero


def test_geometric_mean_of_double_and_half_is_one():
    assert geometric_mean([2.0, 0.5]) == pytest.approx(1.0)
