"""Draw a snapshot of a sweep: variants as rows, seeds as columns, and the answer so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cnn_pipeline.base.metric_names import MEASURES
from cnn_pipeline.base.quantities import clock, counted, duration, percent
from cnn_pipeline.cli.grid import grid
from cnn_pipeline.cli.progress_text import left_text
from cnn_pipeline.cli.round_picture import dropped_line, lead_bars
from cnn_pipeline.cli.snapshot import ACTIVE, Snapshot

_SILENT = 600.0
_MOST_REASONS = 3


@dataclass(frozen=True)
class Screen:
    """A snapshot that fits the place where it is printed.

    On a full screen, rows and columns that do not fit are left out, and their number is said.
    Printed elsewhere it has all columns, and the rows of at most 100 variants.
    """

    snapshot: Snapshot
    hint: str = ""
    """The last line: which keys there are."""
    height: int | None = None
    """Lines of the full screen; None for a print. (Rich's `Live` does not hand
    the height on.)"""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        full = self.height is not None
        above = [*_head(self.snapshot)]
        below = [*_rounds(self.snapshot, options)]
        below += _answer(self.snapshot, one_line=not full)
        if self.hint:
            below += [Text(""), Text(self.hint, "dim")]
        natural = options.reset_height()
        room = None
        if self.height is not None:
            used = sum(len(console.render_lines(part, natural)) for part in (*above, *below))
            room = self.height - used - 3  # a blank line, the heading and the legend
        parts = list(above)
        if self.snapshot.trials:
            parts += [Text(""), *grid(self.snapshot, options.max_width, room, options.ascii_only)]
        for part in (*parts, *below):
            yield from console.render(part, natural)


def answer_words(snapshot: Snapshot) -> str:
    """What can be said so far, or the verdict."""
    if snapshot.verdict:
        return snapshot.verdict
    if snapshot.rounds:
        return snapshot.rounds[-1].answer
    leader = snapshot.leader
    if leader is None:
        return "No trial has finished yet." if snapshot.trials else ""
    score = percent(leader.validation_accuracy)
    if snapshot.metric != "accuracy":
        score = f"{MEASURES[snapshot.metric]} {score}"
    over = f", the mean of {leader.seeds} seeds" if leader.seeds > 1 else ""
    if leader.of == 1:
        return (
            f"{leader.variant} has {score} on validation images{over}. "
            "No other variant has finished yet."
        )
    leads = "is level with others at the top" if leader.tied else "leads"
    return (
        f"{leader.variant} {leads} on validation images: {score}{over}, "
        f"best of {leader.of} variants so far. Differences are not tested yet."
    )


def _head(snapshot: Snapshot) -> Iterator[RenderableType]:
    if snapshot.sweep_id:
        title = Text(snapshot.sweep_id, "bold", no_wrap=True, overflow="ellipsis")
        yield title
        yield Text(", ".join(_facts(snapshot)))
    if snapshot.state == "running" and snapshot.trials:
        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(no_wrap=True)
        left = left_text(snapshot.seconds_left, snapshot.seconds_left_at_most)
        begun = len({trial.seed for trial in snapshot.trials})
        of = f" of {counted(begun, 'round')}" if snapshot.max_rounds else ""
        words = [f"{round(100 * snapshot.done)} %{of}", clock(snapshot.seconds), left]
        bar.add_row(ProgressBar(total=1.0, completed=snapshot.done), ", ".join(filter(None, words)))
        yield bar
    for told in snapshot.told:
        yield Text(told)
    silent = snapshot.silent_seconds
    if snapshot.state == "running" and silent is not None and silent >= _SILENT:
        yield Text(
            f"Nothing was recorded for {duration(silent)}: its process may be gone. "
            "`cnn-pipeline doctor` checks it.",
            "yellow",
        )


def _facts(snapshot: Snapshot) -> Iterator[str]:
    trials = snapshot.trials
    yield snapshot.state
    if snapshot.state != "running" and snapshot.seconds:
        yield f"took {clock(snapshot.seconds)}"
    if snapshot.data:
        yield snapshot.data
    if trials:
        variants = len({trial.variant for trial in trials})
        seeds = len({trial.seed for trial in trials})
        if snapshot.max_rounds:
            yield counted(variants, "variant")
            yield f"round {snapshot.round} of at most {snapshot.max_rounds}"
        else:
            yield f"{counted(variants, 'variant')} x {counted(seeds, 'seed')}"
        failed = snapshot.count(("failed",))
        yield (
            f"{snapshot.ended} of {counted(len(trials), 'trial')} ended"
            + (f" ({failed} failed)" if failed else "")
        )
    for states, word in ((ACTIVE, "running"), (("waiting",), "waiting")):
        if number := snapshot.count(states):
            yield f"{number} {word}"


def _rounds(snapshot: Snapshot, options: ConsoleOptions) -> Iterator[RenderableType]:
    bars = [*lead_bars(snapshot, options.max_width, ascii_only=options.ascii_only)]
    dropped = dropped_line(snapshot)
    if bars or dropped:
        yield Text("")
    yield from bars
    if dropped:
        yield Text(dropped)


def _answer(snapshot: Snapshot, *, one_line: bool) -> Iterator[RenderableType]:
    failed = [trial for trial in snapshot.trials if trial.reason]
    for trial in failed[:_MOST_REASONS]:
        reason = " ".join(trial.reason.split())
        yield Text(f"{trial.name} {trial.state}: {reason}", no_wrap=True, overflow="ellipsis")
    if len(failed) > _MOST_REASONS:
        yield Text(f"... {len(failed) - _MOST_REASONS} more with a reason")
    if snapshot.reason and not failed:
        yield Text(" ".join(snapshot.reason.split()), no_wrap=True, overflow="ellipsis")
    if answer := answer_words(snapshot):
        yield Text("")
        yield Text(answer, "bold")
    if snapshot.page:
        # On a screen every part of it is the link; elsewhere it stays on one line.
        yield Text(
            snapshot.page,
            f"dim link {snapshot.page}",
            no_wrap=one_line,
            overflow="ignore" if one_line else "fold",
        )
