"""The state of a running sweep and its remaining time, computed from events."""

from __future__ import annotations

from dataclasses import dataclass, field

from cnn_pipeline.base import events, metric_names
from cnn_pipeline.base.metric_names import Metric
from cnn_pipeline.cli.progress_text import awaited_line, left_text
from cnn_pipeline.cli.snapshot import Snapshot, State, TrialSnapshot, TrialState
from cnn_pipeline.trainers.scheduling import wall_seconds

# Evaluation and logging follow the last training step.
TRAINING_SHARE = 0.9

# States in words: of an ended run, and of the phases of a running one that are not training.
_ENDS: dict[str, TrialState] = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "stopped"}
_PHASES: dict[str, TrialState] = {
    "training": "training",
    "evaluating": "scoring",
    "logging": "scoring",
}

COMPARING = "comparing"
"""The stage after the last trial."""

# Weight of the estimates, as a share of the sweep's work, so that one slow start changes little.
ESTIMATE_WEIGHT = 0.1


@dataclass
class Running:
    """A trial that has started and not ended."""

    since: float
    """Time of its first event, in seconds."""
    phase: str = "starting"
    epoch: int = 0
    """From 0, as in events and MLflow; displays add one."""
    epochs: int = 0
    images: int = 0
    total_images: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    """Metrics of the last complete epoch."""
    images_per_second: float | None = None
    """Since the first progress, so without building and compiling."""
    first_images: int = 0
    first_time: float = 0.0
    last_time: float = 0.0
    """Of the last progress; `images` were trained by then."""

    @property
    def trained(self) -> float:
        """Share of the images that have been trained on, from 0 to 1."""
        return self.images / self.total_images if self.total_images else 0.0

    @property
    def phase_text(self) -> str:
        """'epoch 2/5' during training, else the phase."""
        if self.phase == "training" and self.epochs:
            return f"epoch {self.epoch + 1}/{self.epochs}"
        return self.phase

    @property
    def speed_text(self) -> str:
        """'9,400 images/s'; empty until it is known."""
        return f"{self.images_per_second:,.0f} images/s" if self.images_per_second else ""


@dataclass
class SweepState:
    """Follows the events of one sweep. Times are seconds on a monotonic clock."""

    started: float
    sweep_id: str = ""
    stage: str = ""
    delay: str = ""
    download: events.DownloadProgress | None = None
    pictures: events.PreparationProgress | None = None
    estimates: dict[str, float] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)
    ended: dict[str, events.TrialEnded] = field(default_factory=dict)
    at_once: int = 1
    data: str = ""
    trials: tuple[str, ...] = ()
    """All trials in the order of the settings."""
    reused: dict[str, events.TrialReused] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    """Validation accuracy after each epoch, by trial."""
    max_rounds: int = 0
    """With seeds 'auto', the most rounds; else 0."""
    metric: Metric = "accuracy"
    decide: float = 0.0
    each: dict[str, float] = field(default_factory=dict)
    """Estimated seconds of one training, by variant."""
    rounds: list[events.RoundEnded] = field(default_factory=list)
    """The rounds that have ended."""
    awaited: dict[str, events.TrialAwaited] = field(default_factory=dict)
    """Trials that another sweep trains."""

    def apply(self, event: events.Event, now: float) -> None:
        """Update the state by one event."""
        match event:
            case events.Stage(text):
                self.stage, self.download, self.pictures = text, None, None
            case events.Delay(text):
                self.delay = text
            case events.DownloadProgress():
                self.download = event
            case events.PreparationProgress(done, total):
                self.pictures = event if done < total else None
            case events.SweepStarted(sweep_id, estimates, at_once):
                self.sweep_id, self.estimates = sweep_id, dict(estimates)
                self.at_once, self.data = at_once, event.data
                self.trials = event.trials or tuple(estimates)
                self.max_rounds, self.decide = event.max_rounds, event.decide
                self.metric = event.metric
                self.each = dict(event.each)
                self.stage, self.download, self.pictures = "", None, None
            case events.ClusterChanged(at_once):
                self.at_once = max(1, at_once)
            case (
                events.RoundStarted(estimates=estimates, trials=trials)
                | events.TrialsChosen(estimates=estimates, trials=trials)
            ):
                self.estimates |= estimates
                self.trials += trials
                self.stage = ""
            case events.RoundEnded():
                self.rounds.append(event)
            case events.TrialAwaited(trial):
                self.awaited[trial] = event
            case events.TrialPhase(trial, phase):
                self.delay = ""
                self.awaited.pop(trial, None)
                self._trial(trial, now).phase = phase
            case events.TrialProgress():
                self._progress(event, now)
            case events.TrialEnded(trial):
                self.running.pop(trial, None)
                self.awaited.pop(trial, None)
                self.ended[trial] = event
            case events.TrialReused(trial):
                self.awaited.pop(trial, None)
                self.reused[trial] = event

    def _trial(self, name: str, now: float) -> Running:
        return self.running.setdefault(name, Running(since=now))

    def _progress(self, event: events.TrialProgress, now: float) -> None:
        trial = self._trial(event.trial, now)
        if not trial.total_images:
            trial.first_images, trial.first_time = event.images, now
        trial.epoch, trial.epochs = event.epoch, event.epochs
        trial.images, trial.total_images = event.images, event.total_images
        trial.last_time = now
        if now > trial.first_time:
            trial.images_per_second = (event.images - trial.first_images) / (now - trial.first_time)
        if event.metrics:
            trial.metrics = dict(event.metrics)
            if metric_names.VAL_ACCURACY in event.metrics:
                curve = self.curves.setdefault(event.trial, [])
                curve.append(event.metrics[metric_names.VAL_ACCURACY])

    @property
    def total(self) -> int:
        """Number of trials of the sweep."""
        planned = self.estimates.keys() - self.reused.keys()  # another sweep trained them
        return max(len(planned), len(self.ended) + len(self.running))

    @property
    def waits(self) -> tuple[str, ...]:
        """What is waited for, a sentence each."""
        return tuple(map(awaited_line, self.awaited.values()))

    def _share(self, name: str) -> float:
        if name in self.ended or name in self.reused:
            return 1.0
        running = self.running.get(name)
        return TRAINING_SHARE * running.trained if running else 0.0

    @property
    def done(self) -> float:
        """Share of the estimated work that is done, from 0 to 1.

        With seeds 'auto' what was reused counts as done: a later round may train again.
        """
        if self.max_rounds:
            weights = {name: self.each.get(name.rpartition("-s")[0], 0.0) for name in self.trials}
            shares = {name: 1.0 if name in self.reused else self._share(name) for name in weights}
            whole = sum(weights.values())
            return sum(weights[name] * shares[name] for name in weights) / whole if whole else 0.0
        work = sum(self.estimates.values())
        if not work:
            return len(self.ended) / self.total if self.total else 0.0
        return sum(s * self._share(name) for name, s in self.estimates.items()) / work

    def seconds_left(self, now: float) -> float | None:
        """Seconds until the last trial ends, from the estimates and the measured speed.

        None before the sweep has started.
        """
        if not sum(self.estimates.values()):
            return None
        slowness = self._slowness()
        left = {name: slowness * s * (1 - self._share(name)) for name, s in self.estimates.items()}
        for name, trial in self.running.items():
            if trial.trained and name in left:
                left[name] = max(0.0, left[name] - (now - trial.last_time))
        # Running trials have a trainer; the longest of the others starts next.
        order = sorted(left, key=lambda name: (name not in self.running, -left[name]))
        return wall_seconds((left[name] for name in order), self.at_once)

    def seconds_left_at_most(self, now: float) -> float | None:
        """As `seconds_left`, if seeds 'auto' need all rounds and drop no further variant."""
        least = self.seconds_left(now)
        if least is None or self.no_further_round:
            return least
        still_in = self.rounds[-1].still_in if self.rounds else tuple(self.each)
        slowness = self._slowness()
        round_ = [slowness * self.each[label] for label in still_in if label in self.each]
        begun = len({name.rpartition("-s")[2] for name in self.trials})
        further = max(0, self.max_rounds - begun)
        return least + further * wall_seconds(sorted(round_, reverse=True), self.at_once)

    def left_text(self, now: float) -> str:
        """The time that is left, as `progress_text.left_text` says it."""
        return left_text(self.seconds_left(now), self.seconds_left_at_most(now))

    @property
    def no_further_round(self) -> bool:
        """Whether the last round has ended, or Ctrl-C has ended them."""
        return self.stage == COMPARING or any(one.over for one in self.rounds)

    def _slowness(self) -> float:
        """Measured seconds of a training by its estimate."""
        work = sum(self.estimates.values())
        measured = sum(end.seconds for end in self.ended.values() if end.status == "FINISHED")
        expected = sum(
            self.estimates.get(name, 0.0)
            for name, end in self.ended.items()
            if end.status == "FINISHED"
        )
        for name, trial in self.running.items():
            if trial.trained:
                measured += trial.last_time - trial.since
                expected += self.estimates.get(name, 0.0) * self._share(name)
        prior = ESTIMATE_WEIGHT * work
        return (measured + prior) / (expected + prior)

    def snapshot(self, now: float, state: State = "running") -> Snapshot:
        """What is shown of the sweep."""
        return Snapshot(
            sweep_id=self.sweep_id,
            data=self.data,
            state=state,
            trials=tuple(map(self._trial_snapshot, self.trials)),
            done=self.done,
            seconds=now - self.started,
            seconds_left=self.seconds_left(now),
            seconds_left_at_most=self.seconds_left_at_most(now),
            max_rounds=self.max_rounds,
            decide=self.decide,
            metric=self.metric,
            rounds=tuple(self.rounds),
            told=tuple(filter(None, (self.stage, self.delay, *self.waits))),
        )

    def _trial_snapshot(self, name: str) -> TrialSnapshot:
        variant, _, seed = name.rpartition("-s")
        curve = tuple(self.curves.get(name, ()))
        shown = TrialSnapshot(name=name, variant=variant, seed=int(seed), state="waiting")
        if name in self.reused:
            score = self.reused[name].metrics.get(metric_names.VALIDATION[self.metric])
            state = "finished" if self.reused[name].own else "reused"
            return shown.model_copy(
                update={"state": state, "curve": curve, "validation_accuracy": score}
            )
        if name in self.ended:
            end = self.ended[name]
            finished = end.status == "FINISHED"
            score = end.metrics.get(metric_names.VALIDATION[self.metric]) if finished else None
            told = {"curve": curve, "validation_accuracy": score, "reason": end.reason}
            return shown.model_copy(update={"state": _ENDS.get(end.status, "stopped"), **told})
        if name in self.running:
            trial = self.running[name]
            told = {"epoch": trial.epoch + 1, "epochs": trial.epochs} if trial.epochs else {}
            return shown.model_copy(
                update={"state": _PHASES.get(trial.phase, "starting"), "curve": curve, **told}
            )
        return shown
