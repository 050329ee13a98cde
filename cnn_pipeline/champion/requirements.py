"""What a challenger must show, and one such requirement with what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from cnn_pipeline.champion.scores import Candidate
from cnn_pipeline.settings.trial import Settings


class GateSettings(Settings):
    """Requirements of a challenger. Accuracies and recalls are shares from 0 to 1."""

    margin: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.0
    """Challenger minus champion, in test accuracy, must be above this: networks and recipes."""
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.95
    """Confidence level of the intervals."""
    max_recall_loss: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    """A class that significantly loses more recall than this is lost."""
    max_champion_loss: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """Largest drop of the champion below its logged accuracy; more means that the data changed."""
    max_latency_ms: Annotated[float, Field(gt=0.0, le=60_000.0)] = 50.0
    """Largest median latency for one image, in milliseconds; on a busy host by the champion's."""
    max_model_bytes: Annotated[int, Field(ge=1, le=10**12)] = 50_000_000
    """Largest model file, in bytes."""
    min_gain_over_majority: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """Least share of the way from the largest class' share to 100 %: 0.1 avoids a tenth of the
    errors that always answering this class makes."""


@dataclass(frozen=True)
class Rule:
    """A requirement, what was measured, and whether it passed."""

    name: str
    required: str
    measured: str
    passed: bool
    refusal: str = ""
    """If it failed: how a refusal says it."""


def unmeasured(name: str, required: str, candidate: Candidate) -> Rule:
    """The rule fails because this candidate has no score."""
    return Rule(
        name,
        required,
        f"not measured: {candidate.name} has no score: {candidate.fault}",
        False,
        unscored(candidate),
    )


def unscored(candidate: Candidate) -> str:
    """How a refusal says that this candidate has no score."""
    return f"{candidate.name} could not be loaded and scored: {candidate.fault}"
