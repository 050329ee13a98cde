"""Whether a recipe is better than another one, over new seeds and new images.

The gate has two recipes that were trained apart, on other data perhaps: their seeds are no blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cnn_pipeline.comparison.independent import spread_of_sum


@dataclass(frozen=True)
class RecipeDifference:
    """Difference of two recipes' accuracies."""

    estimate: float
    low: float
    """Lower bound at the confidence level, one-sided."""


def recipe_difference(
    ours: NDArray[np.bool_] | NDArray[np.float64],
    theirs: NDArray[np.bool_] | NDArray[np.float64],
    confidence: float,
    image_freedom: float = math.inf,
) -> RecipeDifference:
    """Mean accuracy of our networks minus that of theirs, with its lower bound.

    Both are bool `[networks, images]`, on the same images: whether each answer is right; or scores
    of another metric (see `image_scores`), with the degrees of freedom of their images. The spread
    over seeds is taken as equal, so one of them may have a single network.

    The bound combines those of two variances, of which one is known well (Zou and Donner 2008,
    Stat. Med. 27, recover variances from limits): Student's for the seeds, the normal one for the
    images. Between equal recipes the second is zero, and it is Student's t test.

    Raises:
        ValueError: fewer than three networks in all, or other images.
    """
    count = len(ours) + len(theirs)
    if count < 3 or not len(ours) or not len(theirs) or ours.shape[1:] != theirs.shape[1:]:
        raise ValueError(
            "recipe_difference needs three networks on the same images, received "
            f"{ours.shape} and {theirs.shape}"
        )
    size = ours.shape[1]
    groups = [ours.mean(axis=1), theirs.mean(axis=1)]
    blocks = [np.atleast_2d(np.cov(ours)) / size, np.atleast_2d(np.cov(theirs)) / size]
    seeds, freedom, noise = spread_of_sum(np.array([1.0, -1.0]), groups, blocks, own=False)
    by_image = ours.mean(axis=0) - theirs.mean(axis=0)
    images = max(0.0, float(by_image.var(ddof=1)) / size - noise)
    t, z = special.stdtrit(freedom, confidence), special.ndtri(confidence)
    if math.isfinite(image_freedom):
        z = special.stdtrit(image_freedom, confidence)
    # Networks spread at least as much as so few images make them. That is known well.
    variance = max(t * t * seeds, z * z * noise) + z * z * images
    estimate = float(by_image.mean())
    return RecipeDifference(estimate, estimate - math.sqrt(variance))
