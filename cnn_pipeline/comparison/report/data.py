"""The data of a report: the comparison, and details of runs and images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cnn_pipeline.base.quantities import MOST
from cnn_pipeline.comparison.search import SearchRecord
from cnn_pipeline.comparison.types import Comparison
from cnn_pipeline.data.describe import Description
from cnn_pipeline.data.rows import Images
from cnn_pipeline.network.evaluation import Answers


@dataclass(frozen=True, eq=False)
class TrialData:
    """The curves and files of one run; empty if missing."""

    name: str
    """Such as 'f64-max-s0'."""
    label: str
    """The variant, such as 'f64-max'."""
    seed: int
    run_id: str
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Per epoch, from epoch 0: `loss`, `accuracy`, `val_loss`, `val_accuracy`."""
    answers: Answers | None = None
    """Predictions for the test images, in the order of `ReportData.images`."""
    journey: bytes | None = None
    """The picture of an image's journey through the layers, PNG or JPEG."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """`config.json` of the run: trial, data, device, versions, command."""
    plan: Mapping[str, Any] = field(default_factory=dict)
    """`layers.json` of the run: architecture and layer table."""


@dataclass(frozen=True, eq=False)
class ReportData:
    """All that the report of a sweep shows. Only the comparison is required."""

    comparison: Comparison
    trials: tuple[TrialData, ...] = ()
    """In the order of the sweep."""
    dataset: Description | None = None
    images: Images | None = None
    """Test images `[n, height, width, 1 or 3]`, 0..255."""
    sheet: bytes | None = None
    """The contact sheet of the data set, PNG."""
    no_images: str = "they were not given to the report"
    """Why `dataset` or `images` is None."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """When the sweep ran, and with which code, in display order."""
    commands: tuple[str, ...] = ()
    """Commands that train the sweep again: one, or one per variant."""
    search: SearchRecord | None = None
    """The search that chose the variants."""

    @property
    def many(self) -> bool:
        """Whether charts show the best variants, and details those alone."""
        return len(self.comparison.rows) > MOST

    def trials_of(self, label: str) -> tuple[TrialData, ...]:
        """The trials of one variant."""
        return tuple(trial for trial in self.trials if trial.label == label)


def detailed(comparison: Comparison, pair: tuple[str, str] | None = None) -> frozenset[str]:
    """Labels of the variants whose runs the report shows: of many the best, and those compared."""
    labels = [row.label for row in comparison.rows]
    return frozenset((*labels[:MOST], *(pair or ()), *filter(None, [comparison.sweep.baseline])))
