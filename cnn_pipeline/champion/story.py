"""The history of a registered model with the accuracies that were decided on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cnn_pipeline.base import metric_names
from cnn_pipeline.champion.registry.version import Action, Decision, ModelVersion


@dataclass(frozen=True)
class Moment:
    """A decision, with test accuracies as shares from 0 to 1; None where they are not known."""

    at: datetime
    action: Action
    version: int
    accuracy: float | None
    """Of the version that was promoted, restored or refused."""
    champion: int | None
    """The champion from now on; None if there is none."""
    champion_accuracy: float | None
    other_data: bool
    """The version was scored on other data than the one decided on before, so their accuracies
    are not comparable."""
    why: str


def story_of(decisions: Iterable[Decision], versions: Iterable[ModelVersion]) -> tuple[Moment, ...]:
    """The decisions, oldest first, with what is known of their versions."""
    known = {version.version: version for version in versions}
    accuracies = {number: _accuracy(version) for number, version in known.items()}
    moments = []
    before = None
    for decision in decisions:
        version = known.get(decision.version)
        digest = version.data_digest if version else before
        moments.append(
            Moment(
                at=datetime.fromisoformat(decision.at),
                action=decision.action,
                version=decision.version,
                accuracy=accuracies.get(decision.version),
                champion=decision.champion_after,
                champion_accuracy=accuracies.get(decision.champion_after or 0),
                other_data=before is not None and digest != before,
                why=decision.why,
            )
        )
        before = digest
    return tuple(moments)


def _accuracy(version: ModelVersion) -> float | None:
    try:
        return float(version.tags[metric_names.TEST_ACCURACY])
    except (KeyError, ValueError):
        return None
