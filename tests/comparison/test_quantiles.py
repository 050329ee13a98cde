"""Quantiles for many comparisons, against published tables and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from cnn_pipeline.comparison.quantiles import dunnett_quantile, t_quantile, tukey_quantile


@pytest.mark.parametrize(
    ("number", "freedom", "expected"),
    # Dunnett (1955), J. Am. Stat. Assoc. 50:1096, table 1a: one-sided, 95 %.
    [(1, 10, 1.81), (2, 5, 2.44), (5, 20, 2.39), (5, math.inf, 2.23)],
)
def test_dunnett_gives_the_published_table(number, freedom, expected):
    assert dunnett_quantile(number, freedom) == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize("freedom", [3, 12, 200])
def test_dunnett_holds_its_level_in_simulated_sweeps(freedom):
    rng = np.random.default_rng(20260102)
    z = rng.normal(size=(200_000, 6))
    scale = np.sqrt(rng.chisquare(freedom, size=len(z)) / freedom)
    largest = (z[:, 1:].max(axis=1) - z[:, 0]) / math.sqrt(2) / scale
    for confidence in (0.95, 0.98):
        below = np.mean(largest < dunnett_quantile(5, freedom, confidence))
        assert below == pytest.approx(confidence, abs=0.002)


@pytest.mark.parametrize(("number", "freedom"), [(2, 7), (6, 10), (12, 40), (6, math.inf)])
def test_tukey_equals_scipy(number, freedom):
    expected = stats.studentized_range.ppf(0.95, number, freedom) / math.sqrt(2)
    assert tukey_quantile(number, freedom) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("number", "freedom"), [(1, 7), (15, 10), (3, math.inf)])
def test_bonferroni_equals_scipy(number, freedom):
    expected = stats.t.ppf(1 - 0.025 / number, freedom)
    assert t_quantile(freedom, number=number) == pytest.approx(expected, rel=1e-9)


def test_degrees_of_freedom_are_rounded_to_the_safe_side():
    for freedom in (2.04, 9.96, 13.7, 49.9, 120.0):
        exact = stats.studentized_range.ppf(0.95, 6, freedom) / math.sqrt(2)
        assert exact <= tukey_quantile(6, freedom) <= 1.03 * exact
    with pytest.raises(ValueError, match="received nan"):
        tukey_quantile(6, math.nan)


def test_families_of_nothing_are_refused():
    with pytest.raises(ValueError, match="received 1"):
        tukey_quantile(1, 10)
    with pytest.raises(ValueError, match="received 0"):
        dunnett_quantile(0, 10)
