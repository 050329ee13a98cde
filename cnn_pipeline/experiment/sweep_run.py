"""A sweep that has begun, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_pipeline.base.home import Home
from cnn_pipeline.comparison.types import Comparison
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.sweep import Sweep

if TYPE_CHECKING:
    pass
from cnn_pipeline.experiment.data_card import DataCard


@dataclass(frozen=True)
class SweepRun:
    """A sweep that has begun: where it is written, and on what it runs."""

    sweep: Sweep
    sweep_id: str
    experiment_id: str
    run_id: str
    card: DataCard
    home: Home
    store_uri: str
    artifacts_uri: str | None
    cache: Path
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended."""

    sweep_id: str
    experiment_id: str
    parent_run_id: str
    results: tuple[TrialResult, ...]
    comparison: Comparison
    trained: bool = True
    """False where an equal sweep had ended before, and this is its outcome."""

    @property
    def failed(self) -> tuple[TrialResult, ...]:
        """The trials that did not finish."""
        return tuple(result for result in self.results if not result.finished)

    @property
    def ok(self) -> bool:
        """Whether every trial finished."""
        return not self.failed
