"""Quantiles for many comparisons at once.

`scipy.stats` takes as long to import as pandas does, so it is imported where it is used. Degrees of
freedom are rounded down to few values, which is on the safe side, and each quantile is kept.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import special

_NODES = 96


def t_quantile(freedom: float, confidence: float = 0.95, number: int = 1) -> float:
    """Two-sided quantile of Student's t; Bonferroni's for a family of `number` comparisons."""
    tail = (1 - confidence) / (2 * number)
    if math.isinf(freedom):
        return float(-special.ndtri(tail))
    return float(-special.stdtrit(freedom, tail))


def tukey_quantile(number: int, freedom: float, confidence: float = 0.95) -> float:
    """Quantile of the studentised range of `number` means, over sqrt(2): a multiple of an error.

    Tukey (1953): the largest of all pairwise differences of `number` equal means, each in units of
    its standard error, is below it with probability `confidence`. For two means it is Student's t.
    """
    if number < 2:
        raise ValueError(f"tukey_quantile needs two means or more, received {number}")
    return _tukey(number, _rounded(freedom), confidence)


def dunnett_quantile(number: int, freedom: float, confidence: float = 0.95) -> float:
    """One-sided quantile of Dunnett's comparison of `number` means with one more mean.

    Dunnett (1955), J. Am. Stat. Assoc. 50: with equal means, the largest of the differences from
    that one mean, each in units of its standard error, is below it with probability `confidence`.
    """
    if number < 1:
        raise ValueError(f"dunnett_quantile needs one mean or more, received {number}")
    return _dunnett(number, _rounded(freedom), confidence)


def _rounded(freedom: float) -> float:
    if not freedom >= 1:
        raise ValueError(f"quantiles need at least 1 degree of freedom, received {freedom}")
    if freedom >= 1000:
        return math.inf
    step = 0.1 if freedom < 10 else 1 if freedom < 50 else 50
    return math.floor(freedom / step + 1e-9) * step


@lru_cache(maxsize=1024)
def _tukey(number: int, freedom: float, confidence: float) -> float:
    if number == 2:
        return t_quantile(freedom, confidence)
    from scipy import stats

    return float(stats.studentized_range.ppf(confidence, number, freedom)) / math.sqrt(2)


@lru_cache(maxsize=1024)
def _dunnett(number: int, freedom: float, confidence: float) -> float:
    from scipy import optimize

    z, weight_z = np.polynomial.hermite_e.hermegauss(_NODES)
    weight_z = weight_z / weight_z.sum()
    if math.isinf(freedom):
        s, weight_s = np.ones(1), np.ones(1)
    else:
        u, weight_s = np.polynomial.legendre.leggauss(_NODES)
        s = np.sqrt(special.chdtri(freedom, (1 + u) / 2) / freedom)
        weight_s = weight_s / 2

    def missing(quantile: float) -> float:
        below = special.ndtr(z[:, None] + math.sqrt(2) * quantile * s) ** number
        return float(weight_z @ below @ weight_s) - confidence

    return float(optimize.brentq(missing, 0.0, 1e4, xtol=1e-10))
