"""Medians, ratios and intervals of measurements that were taken in turn, and their table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Spread:
    """The middle of some measurements, and how far they reach."""

    median: float
    low: float
    high: float

    def text(self, digits: int = 1, unit: str = "") -> str:
        """'61.2 s (60.1-64.0)': the median, then the least and the greatest."""
        middle = f"{self.median:,.{digits}f}{unit}"
        return f"{middle} ({self.low:,.{digits}f}-{self.high:,.{digits}f})"


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval; the bounds are not a number for a single value."""

    mean: float
    low: float
    high: float

    def text(self, digits: int = 2, unit: str = "", signed: bool = True) -> str:
        """'+0.12 points (95 % -0.05 to +0.29)'; without bounds where there are none."""
        sign = "+" if signed else ""
        middle = f"{self.mean:{sign},.{digits}f}{unit}"
        if math.isnan(self.low):
            return middle
        return f"{middle} (95 % {self.low:{sign},.{digits}f} to {self.high:{sign},.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest of at least one value.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("a median needs at least one value, received none")
    return Spread(statistics.median(values), min(values), max(values))


def ratios(values: Sequence[float], reference: Sequence[float]) -> Spread:
    """Spread of `values[i] / reference[i]`: each is divided by what ran in the same round.

    Raises:
        ValueError: the two are not of one length, or empty.
    """
    return spread([value / base for value, base in zip(values, reference, strict=True)])


def paired_interval(values: Sequence[float], reference: Sequence[float]) -> Interval:
    """Mean of `values[i] - reference[i]` with Student's 95 % interval over the pairs.

    Raises:
        ValueError: the two are not of one length, or empty.
    """
    return mean_interval([value - base for value, base in zip(values, reference, strict=True)])


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean with Student's 95 % interval: the values are taken as independent and normal.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("a mean needs at least one value, received none")
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Interval(mean, math.nan, math.nan)
    error = statistics.stdev(values) / math.sqrt(len(values))
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return Interval(mean, mean - reach, mean + reach)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, ending with a new line; the first column reads from the left.

    Raises:
        ValueError: a row has not as many cells as the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row must have {len(header)} cells, received {list(row)}")
    rule = ["---", *(["---:"] * (len(header) - 1))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (header, rule, *rows))
