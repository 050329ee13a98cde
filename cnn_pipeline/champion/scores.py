"""What the gate knows of a model: its predictions on the test images, and what its run logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.base.metric_names import Metric
from cnn_pipeline.network.image_scores import Scores, image_scores, score


@dataclass(frozen=True, eq=False)
class Score:
    """Predictions of a registered model, made now on the test images and on one image file."""

    labels: NDArray[np.int64]
    """True classes, int64 `[n]`."""
    predictions: NDArray[np.int64]
    """Predicted classes, int64 `[n]`; -1 if a probability is not finite."""
    latency_ms: float
    """Median milliseconds per image at batch size 1, now."""
    model_bytes: int
    finite: bool
    """Whether every probability is finite."""
    png_class: int
    """Predicted class of a test image as a PNG file."""
    array_class: int
    """Predicted class of the same image as an array."""
    slowdown: float | None = None
    """Latency divided by the champion's, both measured in turn; None for the champion itself."""

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each prediction is correct, bool `[n]`."""
        return np.asarray(self.labels == self.predictions)

    def scores(self, metric: Metric = "accuracy") -> Scores:
        """One number per image, `[n]`, whose mean is the metric; see `image_scores`."""
        return image_scores(metric, self.labels, self._given)

    def value(self, metric: Metric = "accuracy") -> float:
        """The metric, a share from 0 to 1."""
        return score(metric, self.labels, self._given)

    @property
    def _given(self) -> NDArray[np.int64]:
        """The predictions; no answer is one that is never right."""
        return np.where(self.predictions < 0, self.labels.max() + 1, self.predictions)

    @property
    def accuracy(self) -> float:
        """Share of correct predictions."""
        return float(np.count_nonzero(self.correct) / len(self.labels))


@dataclass(frozen=True)
class Candidate:
    """A challenger or a champion."""

    name: str
    """'f64-max-s0 (version 3)'."""
    score: Score | None = None
    fault: str = ""
    """Why there is no score, as a file that is not the registered one."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Metrics that its run logged."""
    run_id: str = "RUN"
    """ID of that run."""
    siblings: tuple[Scores, ...] = ()
    """Scores on the same images of the other networks of its recipe, each `[n]`: bool, which are
    right, or of the metric by which the gate judges."""

    def networks(self, metric: Metric = "accuracy") -> Scores:
        """Scores of all its recipe's networks, itself first: `[k, n]`.

        It must have a score.
        """
        assert self.score is not None
        return cast(Scores, np.stack([self.score.scores(metric), *self.siblings]))
