"""What a report is made of: the comparison, and what it cannot know of runs and images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.comparison.types import Comparison
from cnn_pipeline.data.describe import Description
from cnn_pipeline.network.evaluation import Answers


@dataclass(frozen=True, eq=False)
class TrialData:
    """What one run has kept beside its numbers; whatever is missing is empty."""

    name: str
    """'f64-max-s0'."""
    label: str
    """Of the variant: 'f64-max'."""
    seed: int
    run_id: str
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Per epoch, from epoch 0: `loss`, `accuracy`, `val_loss`, `val_accuracy`."""
    answers: Answers | None = None
    """On the test images, in the order of `ReportData.images`."""
    journey: bytes | None = None
    """The picture of an image's way through the layers, PNG or JPEG."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """`config.json` of the run: trial, data, device, versions, command."""
    plan: Mapping[str, Any] = field(default_factory=dict)
    """`layers.json` of the run: architecture and layer table."""


@dataclass(frozen=True, eq=False)
class ReportData:
    """One sweep with all that its report shows. Only the comparison is needed."""

    comparison: Comparison
    trials: tuple[TrialData, ...] = ()
    """Of the sweep, in its order."""
    dataset: Description | None = None
    images: NDArray[np.uint8] | None = None
    """Test images `[n, height, width, 1 or 3]`, 0..255."""
    no_images: str = "they were not given to the report"
    """Why there is no `dataset` or are no `images`, where so."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """When and from which code the sweep ran, in the order to show."""
    commands: tuple[str, ...] = ()
    """What trains the sweep again: one command, or one for each variant."""

    def trials_of(self, label: str) -> tuple[TrialData, ...]:
        """The trials of one variant."""
        return tuple(trial for trial in self.trials if trial.label == label)
