"""Intervals of plain arrays of numbers; each names the source of its method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.comparison.quantiles import t_quantile


@dataclass(frozen=True)
class Interval:
    """A confidence interval, both ends included."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether all of it lies on one side of zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class WelchResult:
    """Difference of two means, and its interval where the data have any spread."""

    difference: float
    interval: Interval | None


def wilson_interval(successes: int, total: int) -> Interval:
    """Wilson's score interval of a proportion.

    Wilson (1927), J. Am. Stat. Assoc. 22; recommended by Newcombe (1998), Stat. Med. 17. Unlike
    the textbook's p +- z se it stays inside 0..1 and keeps its coverage near 0 and 1.
    """
    if not 0 <= successes <= total or total == 0:
        raise ValueError(
            "wilson_interval needs 0 <= successes <= total and total >= 1, "
            f"received successes={successes}, total={total}"
        )
    found = share_interval(successes / total, total)
    return Interval(0.0 if successes == 0 else found.low, 1.0 if successes == total else found.high)


def share_interval(share: float, total: float) -> Interval:
    """Wilson's interval of a share of `total` independent answers, which need not be whole."""
    z = t_quantile(math.inf)
    scale = 1 + z * z / total
    middle = (share + z * z / (2 * total)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def t_interval(values: Sequence[float]) -> Interval | None:
    """Student's t interval of the mean; None for fewer than two values or values without spread.

    Equal values come from rounding to whole test images, not from certainty: an interval of
    width zero would be a false claim.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.size < 2 or _constant(sample):
        return None
    error = float(sample.std(ddof=1)) / math.sqrt(sample.size)
    half = t_quantile(sample.size - 1) * error
    mean = float(sample.mean())
    return Interval(mean - half, mean + half)


def welch(first: Sequence[float], second: Sequence[float]) -> WelchResult:
    """Welch's t interval of mean(first) - mean(second), variances not assumed equal.

    Welch (1947), Biometrika 34. Both samples need two values. Without any spread there is no
    interval.
    """
    a = np.asarray(first, dtype=np.float64)
    b = np.asarray(second, dtype=np.float64)
    if a.size < 2 or b.size < 2:
        raise ValueError(f"welch needs two values on each side, received {a.size} and {b.size}")
    difference = float(a.mean() - b.mean())
    if _constant(a) and _constant(b):
        return WelchResult(difference, None)
    share_a = float(a.var(ddof=1)) / a.size
    share_b = float(b.var(ddof=1)) / b.size
    error = math.sqrt(share_a + share_b)
    freedom = (share_a + share_b) ** 2 / (share_a**2 / (a.size - 1) + share_b**2 / (b.size - 1))
    half = t_quantile(freedom) * error
    return WelchResult(difference, Interval(difference - half, difference + half))


def paired_interval(
    differences: NDArray[np.floating[Any]], confidence: float = 0.95, added: float | None = None
) -> Interval:
    """Interval of the mean of per-image differences, each between -1 and 1.

    The adjusted Wald interval of Bonett and Price (2012), J. Educ. Behav. Stat. 37: one image of
    each kind of disagreement is added before the normal interval is taken. For the differences
    -1, 0, 1 of two networks this is their formula exactly; written over images it also serves the
    mean over several pairs of networks, whose answers on one image depend on each other.

    Where images weigh unequally, differences may be larger, and `added` is the sum of the squares
    that these two images add, instead of 2; see `image_weights`.
    """
    sample = np.asarray(differences, dtype=np.float64)
    largest = 1.0 if added is None else math.inf
    if sample.ndim != 1 or sample.size == 0 or np.abs(sample).max() > largest:
        raise ValueError(
            "paired_interval needs a non-empty vector of differences between -1 and 1, "
            f"received shape {sample.shape}"
        )
    size = sample.size + 2
    mean = float(sample.sum()) / size
    variance = (
        float(np.square(sample).sum()) + (2 if added is None else added)
    ) / size - mean * mean
    half = t_quantile(math.inf, confidence) * math.sqrt(variance / size)
    return Interval(max(-1.0, mean - half), min(1.0, mean + half))


def geometric_mean(ratios: Sequence[float]) -> float:
    """Geometric mean of positive ratios: 2x and 0.5x average to 1x."""
    return math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios))


def _constant(sample: NDArray[np.float64]) -> bool:
    """Whether all values are equal, but for the rounding of the last digits."""
    return float(np.ptp(sample)) <= 1e-12
