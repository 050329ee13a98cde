"""What happens while a sweep runs, as small records, and one place to listen to them.

Whoever works calls `emit`; whoever shows (the terminal, a test) listens. Without a listener
`emit` does nothing, so the core never knows who watches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stage:
    """Work that belongs to no trial: 'starting the trainer', 'comparing'."""

    text: str


@dataclass(frozen=True)
class Delay:
    """Why the trainers take longer than usual to begin; over when one does."""

    text: str


@dataclass(frozen=True)
class DownloadProgress:
    """`done` of `total` bytes of a file have come from `source`."""

    file: str
    source: str
    done: int
    total: int


@dataclass(frozen=True)
class SweepStarted:
    """The trials that will run, `at_once` at a time, with the seconds that each should take."""

    sweep_id: str
    estimates: dict[str, float]
    at_once: int


@dataclass(frozen=True)
class TrialPhase:
    """A trial begins a phase: 'building', 'training', 'evaluating' or 'logging'."""

    trial: str
    phase: str


@dataclass(frozen=True)
class TrialProgress:
    """`images` of `total_images` (over all epochs) are trained; `metrics` at an epoch's end.

    `epoch` counts from 0.
    """

    trial: str
    epoch: int
    epochs: int
    images: int
    total_images: int
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialEnded:
    """A trial is over: FINISHED, FAILED or KILLED, with the reason where it is not the first."""

    trial: str
    status: str
    seconds: float
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialReused:
    """A trial is not trained: run `run_id` has what it would give, and was verified."""

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
    """Tell every listener, one event at a time, whichever thread it comes from."""
    with _lock:
        for listener in _listeners:
            listener(event)
