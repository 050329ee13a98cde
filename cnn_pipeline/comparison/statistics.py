"""Intervals and tests on plain arrays of numbers; each names the source of its method.

Only `scipy.special` is used: `scipy.stats` holds the same distributions but takes as long to
import as pandas does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05


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
    """Difference of two means, its interval where the data have any spread, and its p-value."""

    difference: float
    interval: Interval | None
    p_value: float | None


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
    z = _normal_quantile(CONFIDENCE)
    share = successes / total
    scale = 1 + z * z / total
    middle = (share + z * z / (2 * total)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return Interval(
        0.0 if successes == 0 else middle - half, 1.0 if successes == total else middle + half
    )


def t_interval(values: Sequence[float]) -> Interval | None:
    """Student's t interval of the mean; None for fewer than two values or values without spread.

    Equal values come from rounding to whole test images, not from certainty: an interval of
    width zero would be a false claim.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.size < 2 or _constant(sample):
        return None
    error = float(sample.std(ddof=1)) / math.sqrt(sample.size)
    half = _t_quantile(sample.size - 1) * error
    mean = float(sample.mean())
    return Interval(mean - half, mean + half)


def t_test_p_value(values: Sequence[float]) -> float | None:
    """Two-sided p-value of Student's t test that the mean is zero; None as in `t_interval`."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.size and not np.any(sample):
        return 1.0
    if sample.size < 2 or _constant(sample):
        return None
    error = float(sample.std(ddof=1)) / math.sqrt(sample.size)
    return _two_sided_t(float(sample.mean()) / error, sample.size - 1)


def welch(first: Sequence[float], second: Sequence[float]) -> WelchResult:
    """Welch's t test of mean(first) - mean(second), variances not assumed equal.

    Welch (1947), Biometrika 34. Both samples need two values. Without any spread there is no
    interval, and no p-value unless the means are equal (then 1).
    """
    a = np.asarray(first, dtype=np.float64)
    b = np.asarray(second, dtype=np.float64)
    if a.size < 2 or b.size < 2:
        raise ValueError(f"welch needs two values on each side, received {a.size} and {b.size}")
    difference = float(a.mean() - b.mean())
    if _constant(a) and _constant(b):
        return WelchResult(difference, None, 1.0 if a[0] == b[0] else None)
    share_a = float(a.var(ddof=1)) / a.size
    share_b = float(b.var(ddof=1)) / b.size
    error = math.sqrt(share_a + share_b)
    freedom = (share_a + share_b) ** 2 / (share_a**2 / (a.size - 1) + share_b**2 / (b.size - 1))
    half = _t_quantile(freedom) * error
    return WelchResult(
        difference,
        Interval(difference - half, difference + half),
        _two_sided_t(difference / error, freedom),
    )


def paired_interval(
    differences: NDArray[np.floating[Any]], confidence: float = CONFIDENCE
) -> Interval:
    """Interval of the mean of per-image differences, each between -1 and 1.

    The adjusted Wald interval of Bonett and Price (2012), J. Educ. Behav. Stat. 37: one image of
    each kind of disagreement is added before the normal interval is taken. For the differences
    -1, 0, 1 of two networks this is their formula exactly; written over images it also serves the
    mean over several pairs of networks, whose answers on one image depend on each other.
    """
    sample = np.asarray(differences, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0 or np.abs(sample).max() > 1:
        raise ValueError(
            "paired_interval needs a non-empty vector of differences between -1 and 1, "
            f"received shape {sample.shape}"
        )
    size = sample.size + 2
    mean = float(sample.sum()) / size
    variance = (float(np.square(sample).sum()) + 2) / size - mean * mean
    half = _normal_quantile(confidence) * math.sqrt(variance / size)
    return Interval(max(-1.0, mean - half), min(1.0, mean + half))


def mcnemar_mid_p(wins: int, losses: int) -> float:
    """Two-sided mid-p value of McNemar's exact test.

    `wins` and `losses` count the images that only the first or only the second network gets
    right; under equal accuracy each is a fair coin. Fagerland, Lydersen and Laake (2013), BMC
    Med. Res. Methodol. 13:91, recommend the mid-p version, since the exact one is needlessly
    conservative. It is twice the smaller one-sided mid-p, hence 1 for wins == losses.
    """
    if wins < 0 or losses < 0:
        raise ValueError(f"mcnemar_mid_p needs counts, received wins={wins}, losses={losses}")
    if wins == losses:
        return 1.0
    fewer, total = min(wins, losses), wins + losses
    below = float(special.bdtr(fewer - 1, total, 0.5)) if fewer else 0.0
    return below + float(special.bdtr(fewer, total, 0.5))


def paired_p_value(differences: NDArray[np.floating[Any]]) -> float:
    """Two-sided p-value that the mean of per-image differences is zero.

    McNemar's mid-p where every difference is -1, 0 or 1. Else the normal approximation of the
    sign-flip test, sum(d) / sqrt(sum(d^2)), which is McNemar's asymptotic statistic with the
    differences of several pairs of networks averaged on each image.
    """
    sample = np.asarray(differences, dtype=np.float64)
    if np.isin(sample, (-1.0, 0.0, 1.0)).all():
        return mcnemar_mid_p(int((sample > 0).sum()), int((sample < 0).sum()))
    statistic = float(sample.sum()) / math.sqrt(float(np.square(sample).sum()))
    return 2 * float(special.ndtr(-abs(statistic)))


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """P-values corrected for their number, in the order given; None stays None, uncounted.

    Holm (1979), Scand. J. Stat. 6: holds the chance of any false claim at the level, whatever
    the dependence between the tests.
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        corrected[i] = largest
    return tuple(corrected)


def geometric_mean(ratios: Sequence[float]) -> float:
    """Geometric mean of positive ratios: 2x and 0.5x average to 1x."""
    return math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios))


def _constant(sample: NDArray[np.float64]) -> bool:
    """Whether all values are equal, but for the rounding of the last digits."""
    return float(np.ptp(sample)) <= 1e-12


def _normal_quantile(confidence: float) -> float:
    return float(special.ndtri((1 + confidence) / 2))


def _t_quantile(freedom: float) -> float:
    return float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2))


def _two_sided_t(statistic: float, freedom: float) -> float:
    return 2 * float(special.stdtr(freedom, -abs(statistic)))
