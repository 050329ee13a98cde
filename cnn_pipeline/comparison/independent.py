"""The spread of networks that share no seeds, so that each is independent of all others.

For weights `c` over recipes with `S[r]` networks each, the variance over seeds of the weighted sum
of the recipes' means is the sum of `c[r]**2 * variance[r] / S[r]`: each recipe's own variance
(Welch 1938, degrees of freedom by Satterthwaite 1946), or for few seeds the one that all recipes
share (one-way analysis of variance).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WELCH_NETWORKS = 5
"""Two recipes with this many networks each are compared by their own variances."""


def spread_of_sum(
    c: NDArray[np.float64],
    groups: Sequence[NDArray[np.float64]],
    blocks: Sequence[NDArray[np.float64] | None],
    *,
    own: bool,
) -> tuple[float, float, float]:
    """Variance over seeds of a weighted sum of means, its degrees of freedom, and its noise.

    Args:
        c: weight of each recipe, `[V]`.
        groups: accuracies of each recipe's networks, `V` arrays `[S[r]]`; those with a weight have
            one or more.
        blocks: covariance over images of the accuracies of each recipe's networks,
            `[S[r], S[r]]`; None where it is unknown.
        own: whether each recipe has its own variance, or all share one.

    Returns:
        (variance, degrees of freedom, part of the variance that comes from having few images). The
        degrees of freedom are 0 where a variance is unknown.
    """
    used = np.flatnonzero(c)
    counts = np.array([group.size for group in groups])
    freedoms = np.maximum(0, counts - 1)
    squares = np.array([((g - g.mean()) ** 2).sum() if g.size else 0.0 for g in groups])
    expected = np.array([0.0 if b is None else b.trace() - b.sum() / len(b) for b in blocks])
    share = c[used] ** 2 / counts[used]
    if own:
        if not freedoms[used].all():
            return 0.0, 0.0, 0.0
        parts = share * squares[used] / freedoms[used]
        total = float(parts.sum())
        freedom = total**2 / float((parts**2 / freedoms[used]).sum()) if total > 0 else 0.0
        noise = float(share @ (expected[used] / freedoms[used]))
        return total, freedom or float(freedoms[used].min()), noise
    freedom = float(freedoms.sum())
    if not freedom:
        return 0.0, 0.0, 0.0
    known = sum(f for f, block in zip(freedoms, blocks, strict=True) if block is not None)
    noise = float(expected.sum()) / known if known else 0.0
    return float(share.sum() * squares.sum()) / freedom, freedom, float(share.sum()) * noise
