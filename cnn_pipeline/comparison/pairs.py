"""Compare two variants on the test images."""

from __future__ import annotations

import numpy as np

from cnn_pipeline.comparison.estimate import Quantile
from cnn_pipeline.comparison.evidence import Evidence
from cnn_pipeline.comparison.types import Difference


def compare_pair(
    evidence: Evidence, variant: str, against: str, quantile: Quantile | None = None
) -> Difference:
    """Test accuracy of `variant` minus that of `against`, by their keys in `evidence`.

    The interval holds for all pairs of the evidence at once, or for the family of `quantile`.
    """
    claim = evidence.pair(variant, against, quantile or evidence.all_pairs)
    right_alone = wrong_alone = None
    if claim.basis == "models" and len(claim.seeds) == 1:
        right_alone, wrong_alone = _only_right(evidence, variant, against, claim.seeds[0])
    return Difference(
        evidence.variants[variant].label,
        evidence.variants[against].label,
        basis=claim.basis,
        estimate=claim.estimate,
        interval=claim.interval,
        right_alone=right_alone,
        wrong_alone=wrong_alone,
        seeds=claim.seeds,
        seeds_only=claim.seeds_only,
        reason=claim.reason,
    )


def _only_right(
    evidence: Evidence, variant: str, against: str, seed: int
) -> tuple[int | None, int | None]:
    """How many images only one of the two networks of a seed gets right."""
    ours, theirs = (
        next((trial.correct for trial in evidence.variants[key].trials if trial.seed == seed), None)
        for key in (variant, against)
    )
    if ours is None or theirs is None or ours.dtype != np.bool_ or theirs.dtype != np.bool_:
        return None, None
    return int((ours > theirs).sum()), int((theirs > ours).sum())
