"""What the steps of a retraining hand to each other, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cnn_pipeline.champion.gate import GateResult
from cnn_pipeline.champion.registry import ModelVersion
from cnn_pipeline.champion.retraining.changes import Change
from cnn_pipeline.champion.retraining.drift import DriftReport
from cnn_pipeline.network.results import TrialResult

Ending = Literal["promoted", "refused", "unchanged", "skipped", "missed", "stopped", "failed"]

# Nobody has to look at these; the others want a person.
ORDERLY: tuple[Ending, ...] = ("promoted", "refused", "unchanged", "skipped", "missed")


@dataclass(frozen=True)
class RetrainOutcome:
    """How a retraining ended, and on what grounds."""

    ending: Ending
    message: str
    """One sentence."""
    model: str = ""
    """Name of the registered model."""
    champion_before: int | None = None
    champion_after: int | None = None
    challenger: int | None = None
    """Version that was held against the champion."""
    change: Change | None = None
    drift: DriftReport | None = None
    gate: GateResult | None = None
    sweep_id: str = ""
    experiment_id: str = ""
    parent_run_id: str = ""
    challenger_run_id: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ended as it should: also by refusing, or by doing nothing."""
        return self.ending in ORDERLY


@dataclass(frozen=True)
class Assessment:
    """What is known before anything is trained."""

    model: str
    champion: ModelVersion | None
    change: Change
    drift: DriftReport | None
    """None where there is no champion to compare the data with."""


@dataclass(frozen=True)
class Choice:
    """The best candidate on validation, in its sweep."""

    result: TrialResult
    sweep_id: str
    experiment_id: str
    parent_run_id: str


@dataclass(frozen=True)
class Judgement:
    """The gate's word on a registered challenger."""

    challenger: ModelVersion
    gate: GateResult
