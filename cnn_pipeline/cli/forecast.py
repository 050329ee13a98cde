"""The state of a running sweep and its remaining time, computed from events."""

from __future__ import annotations

from dataclasses import dataclass, field

from cnn_pipeline.base import events
from cnn_pipeline.trainers.scheduling import wall_seconds

# Evaluation and logging follow the last training step.
TRAINING_SHARE = 0.9

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

    @property
    def trained(self) -> float:
        """Share of the images that have been trained on, from 0 to 1."""
        return self.images / self.total_images if self.total_images else 0.0


@dataclass
class SweepState:
    """Follows the events of one sweep. Times are seconds on a monotonic clock."""

    started: float
    sweep_id: str = ""
    stage: str = ""
    delay: str = ""
    download: events.DownloadProgress | None = None
    estimates: dict[str, float] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)
    ended: dict[str, events.TrialEnded] = field(default_factory=dict)
    at_once: int = 1

    def apply(self, event: events.Event, now: float) -> None:
        """Update the state by one event."""
        match event:
            case events.Stage(text):
                self.stage, self.download = text, None
            case events.Delay(text):
                self.delay = text
            case events.DownloadProgress():
                self.download = event
            case events.SweepStarted(sweep_id, estimates, at_once):
                self.sweep_id, self.estimates = sweep_id, dict(estimates)
                self.at_once = at_once
                self.stage, self.download = "", None
            case events.TrialPhase(trial, phase):
                self.delay = ""
                self._trial(trial, now).phase = phase
            case events.TrialProgress():
                self._progress(event, now)
            case events.TrialEnded(trial):
                self.running.pop(trial, None)
                self.ended[trial] = event

    def _trial(self, name: str, now: float) -> Running:
        return self.running.setdefault(name, Running(since=now))

    def _progress(self, event: events.TrialProgress, now: float) -> None:
        trial = self._trial(event.trial, now)
        if not trial.total_images:
            trial.first_images, trial.first_time = event.images, now
        trial.epoch, trial.epochs = event.epoch, event.epochs
        trial.images, trial.total_images = event.images, event.total_images
        if now > trial.first_time:
            trial.images_per_second = (event.images - trial.first_images) / (now - trial.first_time)
        if event.metrics:
            trial.metrics = dict(event.metrics)

    @property
    def total(self) -> int:
        """Number of trials of the sweep."""
        return max(len(self.estimates), len(self.ended) + len(self.running))

    def _share(self, name: str) -> float:
        if name in self.ended:
            return 1.0
        running = self.running.get(name)
        return TRAINING_SHARE * running.trained if running else 0.0

    @property
    def done(self) -> float:
        """Share of the estimated work that is done, from 0 to 1."""
        work = sum(self.estimates.values())
        if not work:
            return len(self.ended) / self.total if self.total else 0.0
        return sum(s * self._share(name) for name, s in self.estimates.items()) / work

    def seconds_left(self, now: float) -> float | None:
        """Seconds until the last trial ends, from the estimates and the measured speed.

        None before the sweep has started.
        """
        work = sum(self.estimates.values())
        if not work:
            return None
        measured = sum(end.seconds for end in self.ended.values() if end.status == "FINISHED")
        expected = sum(
            self.estimates.get(name, 0.0)
            for name, end in self.ended.items()
            if end.status == "FINISHED"
        )
        for name, trial in self.running.items():
            if trial.trained:
                measured += now - trial.since
                expected += self.estimates.get(name, 0.0) * self._share(name)
        prior = ESTIMATE_WEIGHT * work
        slowness = (measured + prior) / (expected + prior)
        left = {name: s * (1 - self._share(name)) for name, s in self.estimates.items()}
        # Running trials have a trainer; the longest of the others starts next.
        order = sorted(left, key=lambda name: (name not in self.running, -left[name]))
        return slowness * wall_seconds((left[name] for name in order), self.at_once)
