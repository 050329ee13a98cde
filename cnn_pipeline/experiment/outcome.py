"""How a sweep ended."""

from __future__ import annotations

from dataclasses import dataclass

from cnn_pipeline.comparison.rounds import Rounds
from cnn_pipeline.comparison.types import Comparison
from cnn_pipeline.network.results import TrialResult


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended."""

    sweep_id: str
    experiment_id: str
    parent_run_id: str
    results: tuple[TrialResult, ...]
    comparison: Comparison
    trained: bool = True
    """False if this is the outcome of an identical earlier sweep."""

    @property
    def rounds(self) -> Rounds | None:
        """How the rounds ended; None for a list of seeds and for a single variant."""
        return self.comparison.rounds

    @property
    def failed(self) -> tuple[TrialResult, ...]:
        """The trials that did not finish."""
        return tuple(result for result in self.results if not result.finished)

    @property
    def ok(self) -> bool:
        """Whether every trial finished."""
        return not self.failed
