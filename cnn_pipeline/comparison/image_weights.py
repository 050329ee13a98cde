"""How much the images of each class weigh in a metric, where intervals depend on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.base.metric_names import Metric
from cnn_pipeline.comparison.statistics import Interval, share_interval


@dataclass(frozen=True)
class ImageWeights:
    """What test images are worth in a metric in which those of rare classes weigh more."""

    num_images: float
    """Number of equally weighty images that are worth as much, after Kish (1965, Survey Sampling):
    the square of the sum of the weights over the sum of their squares."""
    freedom: float = math.inf
    """Degrees of freedom of a variance over images: Satterthwaite's (1946) of a sum over classes
    that vary alike. 50 images of a rare class are 50 images, however many others there are."""
    added: float | None = None
    """Sum of squares that `paired_interval` adds, if not 2: of two images, each of every class in
    equal parts (Price and Bonett 2004, Comput. Stat. Data Anal. 45, divide what they add so)."""

    def interval(self, value: float, scores: NDArray[np.generic] | None) -> Interval:
        """95 % interval of one network's metric over new images.

        Wilson's with the effective number of images (Korn and Graubard 1998, Surv. Methodol. 24):
        as many as give a proportion the variance of the scores, at most `num_images`.
        """
        effective = self.num_images
        if scores is not None and scores.dtype != np.bool_ and len(scores) > 1:
            variance = float(np.var(scores.astype(np.float64), ddof=1)) / len(scores)
            if variance > 0:
                effective = min(effective, value * (1 - value) / variance)
        return share_interval(value, max(1.0, float(effective)))


def image_weights(
    metric: Metric, labels: NDArray[np.integer] | None, num_images: int
) -> ImageWeights | None:
    """The weights of test images with these classes, integers `[n]`; None for accuracy."""
    if metric == "accuracy":
        return None
    if labels is None:
        return ImageWeights(max(1, num_images), added=2.0)
    counts = np.bincount(labels)
    counts = counts[counts > 0].astype(np.float64)
    each = 1 / counts
    several = np.maximum(1.0, counts - 1)
    return ImageWeights(
        num_images=len(counts) ** 2 / float(each.sum()),
        freedom=max(1.0, float(each.sum() ** 2 / (each**2 / several).sum())),
        added=2 * float(np.mean((len(labels) / (len(counts) * counts)) ** 2)),
    )
