"""What is known of a sweep at one moment: `run` and `watch` draw it, `watch --json` prints it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, computed_field

from cnn_pipeline.base import events
from cnn_pipeline.base.metric_names import Metric

TrialState = Literal[
    "waiting", "starting", "training", "scoring", "finished", "reused", "failed", "stopped"
]
State = Literal["waiting", "running", "finished", "failed", "stopped"]
_WITH_ACCURACY = ("finished", "reused")
_ENDED = ("finished", "reused", "failed", "stopped")
ACTIVE = ("starting", "training", "scoring")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TrialSnapshot(_Record):
    """One variant with one seed."""

    name: str
    variant: str
    seed: int
    state: TrialState
    epoch: int = 0
    """The epoch that is being trained, from 1; 0 before."""
    epochs: int = 0
    """How many epochs are planned; 0 if that is not known yet."""
    curve: tuple[float, ...] = ()
    """Accuracy on the validation images after each epoch, from 0 to 1."""
    validation_accuracy: float | None = None
    """Of the final model; None until it is scored."""
    reason: str = ""
    """Why it failed or was stopped."""

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self.state in _ENDED


class Leader(_Record):
    """The variant with the best mean accuracy on the validation images so far.

    As many variants as possible are ranked, on seeds that all of them have finished. Dropped ones
    are not.
    """

    variant: str
    validation_accuracy: float
    seeds: int
    """How many seeds the mean is over."""
    of: int
    """How many variants were ranked."""
    tied: bool
    """Whether another variant has the same mean."""


class Snapshot(_Record):
    """One sweep at one moment."""

    sweep_id: str = ""
    """Empty if there is no sweep to show."""
    data: str = ""
    """Name of the data set."""
    state: State = "waiting"
    trials: tuple[TrialSnapshot, ...] = ()
    """With seeds 'auto' those of the rounds that have begun; the first two begin at once."""
    max_rounds: int = 0
    """With seeds 'auto', the most rounds; else 0."""
    decide: float = 0.0
    """With seeds 'auto', the points of accuracy that matter; else 0."""
    metric: Metric = "accuracy"
    """What the trials' validation accuracies are; the leader leads in it."""
    rounds: tuple[events.RoundEnded, ...] = ()
    """What was known after each round that has ended, from validation images alone."""
    done: float = 0.0
    """Share of the estimated work that is done, from 0 to 1; with seeds 'auto' of `trials`."""
    seconds: float = 0.0
    """Since the sweep began; of one that has ended, how long it took."""
    seconds_left: float | None = None
    """Estimated; None if it is not known. With seeds 'auto' the least."""
    seconds_left_at_most: float | None = None
    """With seeds 'auto', if all rounds are needed; else as `seconds_left`."""
    silent_seconds: float | None = None
    """Since something was last recorded; None if that is not known."""
    told: tuple[str, ...] = ()
    """What is done besides the trials, or what delays them."""
    verdict: str = ""
    """The headline of the comparison; empty until the sweep is compared."""
    reason: str = ""
    """Why the sweep failed or was stopped."""
    page: str = ""
    """Address of the curves in MLflow; empty if no server is known."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def leader(self) -> Leader | None:
        """Who leads; None until a trial has finished."""
        scores: dict[int, dict[str, float]] = {}
        dropped = self.dropped
        for trial in self.trials:
            if trial.variant in dropped:
                continue
            if trial.state in _WITH_ACCURACY and trial.validation_accuracy is not None:
                scores.setdefault(trial.seed, {})[trial.variant] = trial.validation_accuracy
        if not scores:
            return None
        ranked = max(scores.values(), key=len).keys()
        seeds = [found for found in scores.values() if ranked <= found.keys()]
        means = {name: sum(found[name] for found in seeds) / len(seeds) for name in ranked}
        best = max(means, key=lambda name: means[name])
        return Leader(
            variant=best,
            validation_accuracy=means[best],
            seeds=len(seeds),
            of=len(means),
            tied=list(means.values()).count(means[best]) > 1,
        )

    @property
    def dropped(self) -> dict[str, int]:
        """The round after which each variant was dropped, by label."""
        return {label: one.round for one in self.rounds for label in one.dropped}

    @property
    def round(self) -> int:
        """The round that runs, or ran last, from 1; 0 with a list of seeds."""
        if not self.max_rounds:
            return 0
        over = self.state not in ("waiting", "running") or any(one.over for one in self.rounds)
        return max(1, len(self.rounds) + (not over))

    def count(self, states: Sequence[str]) -> int:
        """How many trials are in one of these states."""
        return sum(trial.state in states for trial in self.trials)

    @property
    def ended(self) -> int:
        """How many trials run no more."""
        return self.count(_ENDED)
