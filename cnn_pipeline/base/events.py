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
class DownloadProgress:
    """`done` of `total` bytes of a file are downloaded from `source`."""

    file: str
    source: str
    done: int
    total: int
    kind: Literal["DownloadProgress"] = field(default="DownloadProgress", repr=False)


@dataclass(frozen=True)
class SweepStarted:
    """The trials to run, `at_once` at a time, with the estimated seconds of each."""

    sweep_id: str
    estimates: dict[str, float]
    at_once: int


@dataclass(frozen=True)
class TrialPhase:
    """A trial enters a phase: 'building', 'training', 'evaluating' or 'logging'."""

    trial: str
    phase: str
    kind: Literal["TrialPhase"] = field(default="TrialPhase", repr=False)


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


Event = (
    Stage
    | Delay
    | DownloadProgress
    | SweepStarted
    | TrialPhase
    | TrialProgress
    | TrialEnded
    | TrialReused
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
