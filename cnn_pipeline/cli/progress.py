"""Progress of a running sweep on stderr: live on a terminal, else plain lines.

On a large terminal it fills the screen while trials run.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console, RenderableType
from rich.live import Live

from cnn_pipeline.base import events
from cnn_pipeline.base.links import view_page
from cnn_pipeline.base.quantities import clock, counted
from cnn_pipeline.cli.forecast import COMPARING, SweepState
from cnn_pipeline.cli.progress_text import (
    accuracies,
    awaited_line,
    continued_line,
    ended_line,
    ending,
    reused_line,
    round_lines,
    stop_hint,
)
from cnn_pipeline.cli.screen import Screen
from cnn_pipeline.cli.small_picture import picture

Clock = Callable[[], float]

# A smaller terminal gets a few lines instead of the whole screen.
FULL_COLUMNS, FULL_LINES = 100, 20
# Plain progress is silent for at most so long, before trials run and while they do.
_STEP_SECONDS, _TRAINING_SECONDS = 5.0, 30.0


@dataclass(frozen=True)
class Curves:
    """Where the curves of a sweep can be seen while they grow."""

    server: str
    """Address of MLflow's UI, empty if no server runs."""
    command: str
    """The command that starts one."""

    def page(self, event: events.SweepStarted) -> str:
        """Address of the sweep's charts, or empty."""
        if not (self.server and event.experiment_id):
            return ""
        return view_page(event.experiment_id, event.name, self.server, charts=True)

    def line(self, event: events.SweepStarted) -> str:
        """'curves: http://127.0.0.1:5000/#/experiments/1/runs?...'."""
        return f"curves: {self.page(event)}" if self.page(event) else self.hint

    @property
    def hint(self) -> str:
        """How to see them where no server runs."""
        return f"curves: `{self.command}` in another terminal shows them in a browser"


@contextlib.contextmanager
def progress_on(
    stream: TextIO,
    clock: Clock = time.monotonic,
    *,
    curves: Curves | None = None,
    full_screen: bool = True,
    concludes: bool = False,
) -> Iterator[None]:
    """Show events of this process on `stream` inside the block.

    Args:
        stream: where to; stderr.
        clock: seconds that never go back.
        curves: where MLflow shows them, which is said when the sweep starts.
        full_screen: whether a large terminal is filled.
        concludes: whether Ctrl-C concludes a sweep with the rounds that are complete.
    """
    # A dumb terminal cannot move its cursor, so it gets plain lines.
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        console = Console(file=stream)
        width, height = console.size
        large = full_screen and width >= FULL_COLUMNS and height >= FULL_LINES
        shown = LiveProgress(console, clock, curves, full=large, concludes=concludes)
        with shown as live, events.listening(live):
            yield
    else:
        plain = PlainProgress(stream, clock, curves, concludes=concludes)
        with events.listening(plain), _called_every_second(plain.remind):
            yield


@contextlib.contextmanager
def _called_every_second(call: Callable[[], None]) -> Iterator[None]:
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(1):
            call()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class PlainProgress:
    """Prints one line per epoch and per trial, with the remaining time.

    `remind`, called often, prints that the last step still runs.
    """

    def __init__(
        self,
        stream: TextIO,
        clock: Clock = time.monotonic,
        curves: Curves | None = None,
        *,
        concludes: bool = False,
    ) -> None:
        self._stream = stream
        self._concludes = concludes
        self._curves = curves
        self._clock = clock
        self._state = SweepState(clock())
        self._file: tuple[str, str] | None = None
        self._pictures_at = -math.inf
        self._left, self._left_at = "", -math.inf
        self._printed = self._state.started
        self._lock = threading.Lock()

    def __call__(self, event: events.Event) -> None:
        now = self._clock()
        with self._lock:
            self._state.apply(event, now)
            for line in self._lines(event, now):
                self._print(line, now)

    def remind(self) -> None:
        """Print what runs, if nothing was printed for some seconds."""
        now = self._clock()
        with self._lock:
            state = self._state
            if now - self._printed < (_TRAINING_SECONDS if state.running else _STEP_SECONDS):
                return
            if state.running:
                trials = ", ".join(f"{name} {t.phase_text}" for name, t in state.running.items())
                left = state.left_text(now)
                self._print(f"{trials}; {left}" if left else trials, now)
            elif state.stage:
                self._print(f"still {state.stage}", now)

    def _print(self, line: str, now: float) -> None:
        self._printed = now
        print(f"[{clock(now - self._state.started)}] {line}", file=self._stream, flush=True)

    def _lines(self, event: events.Event, now: float) -> Iterator[str]:
        match event:
            case events.Stage(text) | events.Delay(text) | events.ClusterChanged(text=text):
                yield text
            case events.DataWarning(text):
                yield f"warning: {text}"
            case events.SettingsFitted(text):
                yield f"settings: {text}"
            case events.DownloadProgress(file, source) if (file, source) != self._file:
                self._file = (file, source)
                yield f"fetching {file} from {source}"
            case events.PreparationProgress(done, total) if (
                now - self._pictures_at >= _STEP_SECONDS or done == total
            ):
                self._pictures_at = now
                yield f"{done:,} of {total:,} pictures are prepared"
            case events.SweepStarted(sweep_id):
                total = self._state.total
                trials = counted(total, "trial")
                trials = f"at least {trials}" if event.max_rounds else trials
                left = self._state.left_text(now)
                yield f"{sweep_id}: " + (f"{trials}, {left}" if total else "none to train")
                if self._curves and total:
                    yield self._curves.line(event)
            case events.RoundStarted(round=number, trials=trials, estimates=estimates):
                rest = self._state.left_text(now) if estimates else "none to train"
                yield f"round {number}: {counted(len(trials), 'trial')}, {rest}"
            case events.TrialsChosen(text):
                yield text
            case events.RoundEnded():
                yield from round_lines(event)
                if event.round == 1 and self._concludes:
                    yield stop_hint(concludes=True)
            case events.TrialPhase(trial, phase):
                yield f"{trial}: {phase}"
            case events.TrialNote(trial, text):
                yield f"{trial}: {text}"
            case events.TrialProgress(trial=trial, epoch=epoch, epochs=epochs, metrics=metrics) if (
                metrics
            ):
                parts = [f"epoch {epoch + 1}/{epochs}", accuracies(metrics, self._state.metric)]
                parts += [self._state.running[trial].speed_text, self._left_text(now)]
                yield f"{trial}: {', '.join(part for part in parts if part)}"
            case events.SweepContinued():
                yield continued_line(event)
            case events.TrialReused():
                yield reused_line(event)
            case events.TrialAwaited():
                yield awaited_line(event)
            case events.TrialEnded(trial=trial):
                ended = f"{len(self._state.ended)} of {self._state.total}"
                told = ending(event, self._state.metric)
                yield f"{trial}: {told} ({ended}), {self._left_text(now)}"

    def _left_text(self, now: float) -> str:
        """The time left, up to a second old: of 5,000 trials it takes milliseconds."""
        if now - self._left_at >= 1:
            self._left_at, self._left = now, self._state.left_text(now)
        return self._left


class LiveProgress:
    """Prints trials that ended; below, redraws the running ones and the remaining time.

    If `full`, all trials fill the screen from the start of the sweep to its end. Trials that ended
    are then printed when the screen is left.
    """

    def __init__(
        self,
        console: Console,
        clock: Clock = time.monotonic,
        curves: Curves | None = None,
        *,
        full: bool = False,
        concludes: bool = False,
    ) -> None:
        self._console = console
        self._concludes = concludes
        self._clock = clock
        self._curves = curves
        self._full = full
        self._state = SweepState(clock())
        self._lock = threading.Lock()
        self._page = ""
        self._filled = False
        self._kept: list[RenderableType] = []
        """Lines to print when the full screen is left."""
        self._live = Live(self, console=console, refresh_per_second=5, transient=True)

    def __enter__(self) -> LiveProgress:
        self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()
        for line in self._kept:
            self._console.print(line, soft_wrap=True)

    def __call__(self, event: events.Event) -> None:
        with self._lock:
            self._state.apply(event, self._clock())
        match event:
            case events.SweepStarted(estimates=estimates):
                if self._curves:
                    self._page = self._curves.page(event)
                    if estimates or event.max_rounds:
                        self._print(self._curves.line(event))
                if self._full and estimates:
                    self._fill()
            case events.RoundStarted(estimates=estimates):
                if self._full and estimates and not self._filled:
                    self._fill()
            case events.TrialsChosen(text, estimates):
                self._print(text)
                if self._full and estimates and not self._filled:
                    self._fill()
            case events.RoundEnded():
                for line in round_lines(event):
                    self._print(line)
                if event.round == 1 and self._concludes and not self._filled:
                    self._print(stop_hint(concludes=True))
            case events.Stage(text) if self._state.max_rounds and text != COMPARING:
                self._print(text)  # what Ctrl-C made of it
            case events.DataWarning(text):
                self._print(f"warning: {text}")
            case events.SettingsFitted(text):
                self._print(f"settings: {text}")
            case events.ClusterChanged(text=text):
                self._print(text)
            case events.TrialNote(trial, text):
                self._print(f"{trial}: {text}")
            case events.TrialEnded():
                self._print(ended_line(event, self._state.metric))
            case events.SweepContinued():
                self._print(continued_line(event))
            case events.TrialReused():
                self._print(reused_line(event))

    def _print(self, line: RenderableType) -> None:
        if self._filled:
            self._kept.append(line)
        else:
            self._live.console.print(line, soft_wrap=True)

    def _fill(self) -> None:
        self._live.stop()
        self._filled = True
        self._live = Live(self, console=self._console, refresh_per_second=4, screen=True)
        self._live.start()

    def __rich__(self) -> RenderableType:
        with self._lock:
            now = self._clock()
            if not self._filled:
                return picture(self._state, now)
            shown = self._state.snapshot(now).model_copy(update={"page": self._page})
            concludes = self._concludes and self._state.rounds and not self._state.no_further_round
        lines = [] if self._page or not self._curves else [self._curves.hint]
        hint = "\n".join([*lines, stop_hint(concludes=bool(concludes))])
        return Screen(shown, hint, self._console.height)
