"""Progress of a running sweep on stderr: live on a terminal, else plain lines."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cnn_pipeline.base import events, metric_names
from cnn_pipeline.base.quantities import clock
from cnn_pipeline.cli.forecast import Running, SweepState

Clock = Callable[[], float]


@contextlib.contextmanager
def progress_on(stream: TextIO, clock: Clock = time.monotonic) -> Iterator[None]:
    """Show events of this process on `stream` inside the block."""
    # A dumb terminal cannot move its cursor, so it gets plain lines.
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        with LiveProgress(Console(file=stream), clock) as live, events.listening(live):
            yield
    else:
        with events.listening(PlainProgress(stream, clock)):
            yield


class PlainProgress:
    """Prints one line per epoch and per trial, with the remaining time."""

    def __init__(self, stream: TextIO, clock: Clock = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._state = SweepState(clock())
        self._file: tuple[str, str] | None = None

    def __call__(self, event: events.Event) -> None:
        now = self._clock()
        self._state.apply(event, now)
        for line in self._lines(event, now):
            elapsed = clock(now - self._state.started)
            print(f"[{elapsed}] {line}", file=self._stream, flush=True)

    def _lines(self, event: events.Event, now: float) -> Iterator[str]:
        left = left_text(self._state.seconds_left(now))
        match event:
            case events.Stage(text) | events.Delay(text):
                yield text
            case events.DownloadProgress(file, source) if (file, source) != self._file:
                self._file = (file, source)
                yield f"fetching {file} from {source}"
            case events.SweepStarted(sweep_id):
                total = self._state.total
                yield f"{sweep_id}: " + (f"{total} trials, {left}" if total else "none to train")
            case events.TrialPhase(trial, phase):
                yield f"{trial}: {phase}"
            case events.TrialProgress(trial=trial, epoch=epoch, epochs=epochs, metrics=metrics) if (
                metrics
            ):
                parts = [f"epoch {epoch + 1}/{epochs}", accuracies(metrics)]
                parts += [speed(self._state.running[trial]), left]
                yield f"{trial}: {', '.join(part for part in parts if part)}"
            case events.TrialReused(trial, run_id):
                yield reused_line(trial, run_id)
            case events.TrialEnded(trial=trial):
                counted = f"{len(self._state.ended)} of {self._state.total}"
                yield f"{trial}: {ending(event)} ({counted}), {left}"


class LiveProgress:
    """Prints trials that ended; below, redraws the running ones and the remaining time."""

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._state = SweepState(clock())
        self._lock = threading.Lock()
        self._live = Live(self, console=console, refresh_per_second=5, transient=True)

    def __enter__(self) -> LiveProgress:
        self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def __call__(self, event: events.Event) -> None:
        with self._lock:
            self._state.apply(event, self._clock())
        if isinstance(event, events.TrialEnded):
            self._live.console.print(ended_line(event), soft_wrap=True)
        elif isinstance(event, events.TrialReused):
            self._live.console.print(reused_line(event.trial, event.run_id), soft_wrap=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self._lock:
            yield picture(self._state, self._clock())


def picture(state: SweepState, now: float) -> RenderableType:
    """The part that is redrawn, at most 80 columns wide for names of usual length."""
    elapsed = clock(now - state.started)
    if not state.estimates:
        return Group(*_preparing(state, elapsed))
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(width=12)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for name, trial in state.running.items():
        table.add_row(
            Text(name, "bold"),
            phase_text(trial),
            ProgressBar(total=1.0, completed=trial.trained, width=12),
            ", ".join(part for part in (accuracies(trial.metrics), speed(trial)) if part),
        )
    overall = Table.grid(padding=(0, 1))
    overall.add_row(
        Text("sweep", "bold"),
        f"{len(state.ended)}/{state.total}",
        ProgressBar(total=1.0, completed=state.done, width=28),
        f"{elapsed}, {left_text(state.seconds_left(now))}",
    )
    lines: list[RenderableType] = [table, overall]
    for told in (state.delay, state.stage):
        if told:
            lines.insert(0, Text(told, "dim"))
    return Group(*lines)


def _preparing(state: SweepState, elapsed: str) -> Iterator[RenderableType]:
    yield Text(f"{elapsed} {state.stage or 'starting'}", overflow="ellipsis", no_wrap=True)
    if state.delay:
        yield Text(state.delay, "dim", overflow="ellipsis", no_wrap=True)
    if state.download is not None:
        grid = Table.grid(padding=(0, 1))
        grid.add_row(
            state.download.file,
            ProgressBar(
                total=max(1, state.download.total), completed=state.download.done, width=24
            ),
            f"{state.download.done / 1e6:.1f}/{state.download.total / 1e6:.1f} MB",
            state.download.source,
        )
        yield grid


def ended_line(event: events.TrialEnded) -> Text:
    """'f16-max-s0    finished in 0:38, val 0.891, test 0.886'."""
    style = "green" if event.status == "FINISHED" else "red"
    return Text.assemble((f"{event.trial:<16}", "bold"), " ", (ending(event), style))


def reused_line(trial: str, run_id: str) -> str:
    """'f16-max-s0: reused from run 4f1c...'."""
    return f"{trial}: reused from run {run_id}"


def ending(event: events.TrialEnded) -> str:
    """'finished in 0:38, val 0.891, test 0.886', or the reason of a failure."""
    parts = [f"{event.status.lower()} in {clock(event.seconds)}"]
    if event.status == "FINISHED":
        parts.append(accuracies(event.metrics))
    elif event.reason:
        parts = [f"{parts[0]}: {' '.join(event.reason.split())}"]
    return ", ".join(part for part in parts if part)


_SHOWN = (
    (metric_names.ACCURACY, "train"),
    (metric_names.VAL_ACCURACY, "val"),
    (metric_names.VAL_ACCURACY_FINAL, "val"),
    (metric_names.TEST_ACCURACY, "test"),
)


def accuracies(metrics: Mapping[str, float]) -> str:
    """'train 0.912, val 0.889': the accuracies among the metrics."""
    if metric_names.VAL_ACCURACY_FINAL in metrics:  # an ended trial: the scores of the final model
        metrics = {
            k: v
            for k, v in metrics.items()
            if k not in (metric_names.ACCURACY, metric_names.VAL_ACCURACY)
        }
    return ", ".join(f"{word} {metrics[key]:.3f}" for key, word in _SHOWN if key in metrics)


def phase_text(trial: Running) -> str:
    """'epoch 2/5' during training, else the phase."""
    if trial.phase == "training" and trial.epochs:
        return f"epoch {trial.epoch + 1}/{trial.epochs}"
    return trial.phase


def speed(trial: Running) -> str:
    """'9,400 images/s'; empty until it is known."""
    return f"{trial.images_per_second:,.0f} images/s" if trial.images_per_second else ""


def left_text(seconds: float | None) -> str:
    """'about 3:10 left'."""
    return "" if seconds is None else f"about {clock(seconds)} left"
