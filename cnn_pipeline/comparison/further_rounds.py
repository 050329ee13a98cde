"""How many more rounds a sweep with seeds 'auto' is expected to need."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from cnn_pipeline.comparison.quantiles import dunnett_quantile

USUAL_SPREAD = 0.0045
"""Standard deviation of accuracy over seeds of the tutorial's network, as a share: what is assumed
before anything was trained."""
LOOK = 0.98
"""Confidence of each look, as the rounds have it."""


def further_rounds(
    behind: Mapping[str, float],
    spread: float,
    *,
    num_variants: int,
    done: int,
    most: int,
    decide: float,
) -> Iterator[tuple[str, ...]]:
    """The variants of each further round, if means and spread stay as they are.

    Args:
        behind: mean accuracy of the leader minus its own, of each variant still in; a share.
        spread: standard deviation over seeds, a share.
        num_variants: of the sweep, dropped ones included.
        done: rounds that have ended.
        most: rounds that there may be in all.
        decide: the margin, a share.
    """
    left = dict(behind)
    for number in range(done + 1, most + 1):
        yield tuple(left)
        if number < 2:
            continue
        half = half_width(spread, num_variants, number)
        left = {label: lag for label, lag in left.items() if lag <= half}
        nearest = sorted(left.values())[1:2]  # the first is the leader's own
        if not nearest or half - nearest[0] < decide:
            return


def half_width(spread: float, num_variants: int, num_seeds: int) -> float:
    """What a difference between two variants is known to, one-sided, after some rounds; a share."""
    if num_variants < 2:
        return 0.0
    freedom = (num_variants - 1) * (num_seeds - 1)
    critical = dunnett_quantile(num_variants - 1, freedom, LOOK)
    return critical * spread * math.sqrt(2 / num_seeds)
