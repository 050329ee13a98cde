"""Events of a running sweep, and one place to listen to them.

Code that works calls `emit`; code that shows progress (the terminal, a test) listens. Without a
listener `emit` does nothing.

`trainers.messages` tells the events that a trainer sends apart by their `kind`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from cnn_pipeline.base.metric_names import Metric


@dataclass(frozen=True)
class Stage:
    """Work outside of trials: 'starting the trainer', 'comparing'."""

    text: str
    kind: Literal["Stage"] = field(default="Stage", repr=False)


@dataclass(frozen=True)
class Delay:
    """Why the trainers take longer than usual to start; it ends when one starts."""

    text: str
    kind: Literal["Delay"] = field(default="Delay", repr=False)


@dataclass(frozen=True)
class DataWarning:
    """What the numbers of images per class make doubtful; a sentence without its full stop."""

    text: str


@dataclass(frozen=True)
class SettingsFitted:
    """What was changed in the settings to fit the data; a sentence without its full stop."""

    text: str


@dataclass(frozen=True)
class DownloadProgress:
    """`done` of `total` bytes of a file are downloaded from `source`."""

    file: str
    source: str
    done: int
    total: int
    kind: Literal["DownloadProgress"] = field(default="DownloadProgress", repr=False)


@dataclass(frozen=True)
class PreparationProgress:
    """`done` of `total` pictures are read and have the size of the images."""

    done: int
    total: int
    kind: Literal["PreparationProgress"] = field(default="PreparationProgress", repr=False)


@dataclass(frozen=True)
class SweepContinued:
    """A sweep that was stopped goes on. `SweepStarted` follows."""

    sweep_id: str
    complete: int
    """How many of its trials are."""
    trials: int
    """How many it needs, as far as that is known."""


@dataclass(frozen=True)
class SweepStarted:
    """The trials to run, `at_once` at a time, with the estimated seconds of each."""

    sweep_id: str
    estimates: dict[str, float]
    at_once: int
    name: str = ""
    """Of the sweep; also the key of its view in MLflow."""
    data: str = ""
    """Name of the data set."""
    experiment_id: str = ""
    """MLflow's."""
    trials: tuple[str, ...] = ()
    """All trials in the order of the settings, those to reuse included."""
    max_rounds: int = 0
    """With seeds 'auto', the most rounds; else 0."""
    decide: float = 0.0
    """With seeds 'auto', the points of accuracy that matter."""
    each: dict[str, float] = field(default_factory=dict)
    """Estimated seconds of one training of each variant, by label."""
    metric: Metric = "accuracy"
    """What the variants are ranked by."""


@dataclass(frozen=True)
class ClusterChanged:
    """A node joined the cluster or was lost; there are `at_once` trainers now."""

    at_once: int
    text: str


@dataclass(frozen=True)
class TrialPhase:
    """A trial enters a phase: 'building', 'training', 'evaluating' or 'logging'."""

    trial: str
    phase: str
    kind: Literal["TrialPhase"] = field(default="TrialPhase", repr=False)


@dataclass(frozen=True)
class TrialNote:
    """What a trial says beside its progress: 'goes on after epoch 2 of 5'."""

    trial: str
    text: str
    kind: Literal["TrialNote"] = field(default="TrialNote", repr=False)


@dataclass(frozen=True)
class TrialProgress:
    """`images` of `total_images` (over all epochs) are trained.

    `epoch` counts from 0; `metrics` are set at the end of an epoch.
    """

    trial: str
    epoch: int
    epochs: int
    images: int
    total_images: int
    metrics: dict[str, float] = field(default_factory=dict)
    kind: Literal["TrialProgress"] = field(default="TrialProgress", repr=False)


@dataclass(frozen=True)
class TrialEnded:
    """A trial ended as FINISHED, FAILED or KILLED; the last two have a reason."""

    trial: str
    status: str
    seconds: float
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialReused:
    """A trial is not trained: the verified run `run_id` has identical inputs."""

    trial: str
    run_id: str
    metrics: dict[str, float] = field(default_factory=dict, compare=False)
    own: bool = False
    """Whether it is a trial of this sweep, which was stopped and goes on."""


@dataclass(frozen=True)
class TrialAwaited:
    """Another sweep trains a trial; this one waits for it."""

    trial: str
    holder: str
    """'pooling-20261122-093000-4f1c, process 123, since 2026-11-22 09:30:00 UTC'."""


@dataclass(frozen=True)
class RoundStarted:
    """A further round of a sweep with seeds 'auto' begins.

    The first rounds, which are run in any case, are part of `SweepStarted`.
    """

    round: int
    """From 1."""
    estimates: dict[str, float]
    """Estimated seconds of each trial that will be trained."""
    trials: tuple[str, ...]
    """All trials of the round, those to reuse included."""


@dataclass(frozen=True)
class TrialsChosen:
    """A search has chosen what to train next. The first of it is part of `SweepStarted`."""

    text: str
    """How far the search is, and what leads."""
    estimates: dict[str, float]
    """Estimated seconds of each trial that will be trained."""
    trials: tuple[str, ...]
    """All trials that were chosen, those to reuse included."""


@dataclass(frozen=True)
class RoundEnded:
    """Each variant that was still in has one more seed. All numbers are of validation images.

    Accuracies and their differences are shares from 0 to 1. The interval is the one by which the
    rounds are ended; None after the first round, when nothing is known of the spread.
    """

    round: int
    """From 1."""
    still_in: tuple[str, ...]
    """Labels of the variants that may still be the best, best first."""
    dropped: dict[str, str]
    """Labels of the variants that were dropped after this round, with the reason."""
    answer: str
    """The answer so far, a sentence."""
    leader: str | None = None
    """Label of the variant with the best mean; None if no trial has finished."""
    runner_up: str | None = None
    """Label of the next best that is still in."""
    lead: float | None = None
    """Mean accuracy of the leader minus that of the runner-up."""
    lead_low: float | None = None
    """Lower end of the interval of `lead`."""
    lead_high: float | None = None
    over: bool = False
    """Whether this was the last round."""


Event = (
    Stage
    | Delay
    | DataWarning
    | SettingsFitted
    | DownloadProgress
    | PreparationProgress
    | SweepContinued
    | SweepStarted
    | ClusterChanged
    | TrialPhase
    | TrialNote
    | TrialProgress
    | TrialEnded
    | TrialReused
    | TrialAwaited
    | RoundStarted
    | TrialsChosen
    | RoundEnded
)
Listener = Callable[[Event], None]

_listeners: list[Listener] = []
_lock = threading.Lock()


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call `listener` with every event of this process until the block ends."""
    with _lock:
        _listeners.append(listener)
    try:
        yield
    finally:
        with _lock:
            _listeners.remove(listener)


def emit(event: Event) -> None:
    """Call every listener; events of several threads come one at a time."""
    with _lock:
        for listener in _listeners:
            listener(event)
