"""Metrics as means over images, so that one estimator says how sure each of them is.

Accuracy is the mean of right (1) and wrong (0) over the images. Balanced accuracy and macro F1 are
means over classes: smooth functions of means over images. Such a function equals the mean of its
linearised scores, the function's value plus each image's influence on it, and its error over new
images is that of this mean (the delta method; Cochran 1977, Sampling Techniques, sections 5A.13
and 6.3; for macro F1 Takahashi and others 2022, Appl. Intell. 52). With influences that add up to
nought nothing else changes: what is computed from right and wrong answers for accuracy is computed
from these scores for the others.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.base.metric_names import Metric

Scores = NDArray[np.bool_] | NDArray[np.float64]
"""One number per image, `[n]`, whose mean is the metric: bool for accuracy, else float64."""

_Classes = NDArray[np.integer[Any]]


def image_scores(metric: Metric, labels: _Classes, predictions: _Classes) -> Scores:
    """Scores of one network's answers, `[n]`, whose mean is the metric.

    Args:
        metric: 'accuracy', 'balanced_accuracy' or 'macro_f1'.
        labels: true class of each image, integers `[n]`.
        predictions: predicted class of each image, integers `[n]`.
    """
    right = np.asarray(labels == predictions)
    if metric == "accuracy":
        return right
    if metric == "balanced_accuracy":
        return _of_recalls(labels, right)
    return _of_f1(labels, predictions, right)


def score(metric: Metric, labels: _Classes, predictions: _Classes) -> float:
    """The metric of one network's answers, from 0 to 1.

    Balanced accuracy is the mean recall over the classes with images; macro F1 is the mean over the
    classes that have images or were answered, as in scikit-learn.
    """
    right = np.asarray(labels == predictions)
    if metric == "accuracy":
        return float(np.count_nonzero(right) / len(labels))
    images = np.bincount(labels)
    hits = np.bincount(labels[right], minlength=len(images))
    if metric == "balanced_accuracy":
        known = images > 0
        return float(np.mean(hits[known] / images[known]))
    size = 1 + int(max(labels.max(), predictions.max()))
    both = np.bincount(labels, minlength=size) + np.bincount(predictions, minlength=size)
    known = both > 0
    return float(np.mean(2 * np.bincount(labels[right], minlength=size)[known] / both[known]))


def of_one_answer(metric: Metric, labels: _Classes) -> float:
    """The metric of always answering the largest class."""
    largest = int(np.bincount(labels).argmax())
    return score(metric, labels, np.full(len(labels), largest, dtype=np.int64))


def _of_recalls(labels: _Classes, right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """An image of class c counts n / (k * n[c]), and what varies is its distance to the recall.

    The mean of `weight * right` alone would be the same, but it would vary with the class of the
    image, which says nothing about the recalls. `n[c] / (n[c] - 1)` makes the variance within a
    class unbiased. A class with one image has none within itself: such classes are taken together,
    or with the smallest other class (Cochran 1977, section 5A.12, collapsed strata).
    """
    n, counts = len(labels), np.bincount(labels)
    known = np.flatnonzero(counts)
    weights = n / (len(known) * counts[labels])
    value = float(np.mean([right[labels == c].mean() for c in known]))
    influence = np.zeros(n)
    for stratum in _strata(counts, known):
        inside = np.isin(labels, stratum)
        size, own = int(inside.sum()), weights[inside]
        if size > 1:
            distance = right[inside] - np.average(right[inside], weights=own)
            influence[inside] = own * distance * np.sqrt(size / (size - 1) * (n - 1) / n)
    return value + influence


def _strata(counts: NDArray[np.intp], known: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    single, others = known[counts[known] == 1], known[counts[known] > 1]
    if not single.size:
        return [others[i : i + 1] for i in range(len(others))]
    if single.size == 1 and others.size:
        smallest = int(counts[others].argmin())
        single = np.append(single, others[smallest])
        others = np.delete(others, smallest)
    return [single, *(others[i : i + 1] for i in range(len(others)))]


def _of_f1(
    labels: _Classes, predictions: _Classes, right: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """F1 of class c is 2 * hits / (images + answers): a ratio of two means over images.

    An image's influence on a ratio r of means y / x is (y[i] - r * x[i]) / mean(x).
    """
    size = 1 + int(max(labels.max(), predictions.max()))
    hits = np.bincount(labels[right], minlength=size)
    both = np.bincount(labels, minlength=size) + np.bincount(predictions, minlength=size)
    known = both > 0
    ratio = np.divide(2 * hits, both, out=np.zeros(size), where=known)
    mean = both / len(labels)
    share = np.divide(1, mean, out=np.zeros(size), where=known) / known.sum()
    influence = 2 * right * share[labels]
    influence = influence - (ratio * share)[labels] - (ratio * share)[predictions]
    return cast(NDArray[np.float64], float(ratio[known].mean()) + influence)
