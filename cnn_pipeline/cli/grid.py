"""Draw the trials of a sweep as a grid: variants as rows, seeds as columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cnn_pipeline.base.metric_names import MEASURES
from cnn_pipeline.cli.snapshot import ACTIVE, Snapshot, TrialSnapshot

T = TypeVar("T")

BARS = "▁▂▃▄▅▆▇█"
_GAP = 2
_LONG, _SHORT = len("finished 0.912"), len("reused 0.912")
# Bars and characters of words in a cell; the first with which all seeds fit is taken.
_CELLS = ((8, _LONG), (8, _SHORT), (6, _SHORT), (4, _SHORT))
_CELLS_WITHOUT_BARS = ((0, _LONG), (0, _SHORT))
_LABEL = 28
_MOST_PRINTED = 100
"""Variants of a print, which has no height."""
_STYLES = {
    "waiting": "dim", "starting": "cyan", "training": "cyan", "scoring": "cyan",
    "finished": "green", "reused": "green", "failed": "bold red", "stopped": "red",
}  # fmt: skip


def grid(
    snapshot: Snapshot, width: int, room: int | None, ascii_only: bool
) -> Iterator[RenderableType]:
    trials = {(trial.variant, trial.seed): trial for trial in snapshot.trials}
    variants = list(dict.fromkeys(trial.variant for trial in snapshot.trials))
    seeds = list(dict.fromkeys(trial.seed for trial in snapshot.trials))
    busy = [trial for trial in snapshot.trials if trial.state in ACTIVE]
    label = min(_LABEL, max(map(len, variants)), width // 3)
    cells = _CELLS_WITHOUT_BARS if ascii_only else _CELLS
    free = width - label - _GAP
    fitting = [cell for cell in cells if _width(*cell) * len(seeds) <= free]
    bars, words = (fitting or cells[-1:])[0]
    across = max(1, free // _width(bars, words))
    columns = _around(seeds, across, [trial.seed for trial in busy])
    down = len(variants) if room is None else max(1, room)
    if down < len(variants) or len(columns) < len(seeds):
        down = max(1, down - 1)  # for the line that says how many are left out
    if room is None:
        down = min(len(variants), _MOST_PRINTED)
    rows = _around(variants, down, [trial.variant for trial in busy])

    table = Table.grid(padding=(0, _GAP, 0, 0))
    table.add_column(width=label, no_wrap=True, overflow="ellipsis")
    for _ in columns:
        table.add_column(no_wrap=True, overflow="ellipsis", width=_width(bars, words) - _GAP)
    table.add_row(Text("variant", "dim"), *(Text(f"seed {seed}", "dim") for seed in columns))
    curves = [value for trial in snapshot.trials for value in trial.curve]
    low, high = min(curves, default=0.0), max(curves, default=1.0)
    for variant in rows:
        row = [trials.get((variant, seed)) for seed in columns]
        drawn = [_cell(trial, low, high, bars, words) if trial else Text() for trial in row]
        style = ""
        if variant in snapshot.dropped:
            style = "dim"
            if None in row:
                drawn[row.index(None)] = Text("dropped", style)
        table.add_row(Text(variant, style), *drawn)
    yield table
    left_out = [
        f"{more} more {thing}{'s' if more > 1 else ''}"
        for more, thing in (
            (len(variants) - len(rows), "variant"),
            (len(seeds) - len(columns), "seed"),
        )
        if more
    ]
    if left_out:
        yield Text(f"... {' and '.join(left_out)}", "dim")
    legend = []
    if snapshot.metric != "accuracy":
        legend.append(f"figures: validation {MEASURES[snapshot.metric]}")
    if bars and curves:
        scale = f"{BARS[0]} {low:.3f} to {BARS[-1]} {high:.3f}"
        legend.append(f"bars: validation accuracy after each epoch, {scale}")
    if legend:
        yield Text("; ".join(legend), "dim", no_wrap=True, overflow="ellipsis")


def _width(bars: int, words: int) -> int:
    """Columns of a cell and the gap after it."""
    return (bars + 1 if bars else 0) + words + _GAP


def _cell(trial: TrialSnapshot, low: float, high: float, bars: int, room: int) -> Text:
    style, words = _STYLES[trial.state], state_words(trial, room)
    if not bars:
        return Text(words, style)
    return Text(f"{spark(trial.curve, low, high, bars):<{bars}} {words}", style)


def spark(curve: Sequence[float], low: float, high: float, size: int) -> str:
    """'▁▅▇█': a bar for each epoch, between `low` and `high`.

    Of more than `size` epochs it shows `size` of them, the first and the last among them.
    """
    if len(curve) > size:
        step = (len(curve) - 1) / (size - 1)
        curve = [curve[round(number * step)] for number in range(size)]
    top = len(BARS) - 1
    return "".join(
        BARS[round(top * (value - low) / (high - low))] if high > low else BARS[top]
        for value in curve
    )


def state_words(trial: TrialSnapshot, room: int = _LONG) -> str:
    """'epoch 2/5', 'finished 0.912', 'waiting'; in little room a score alone is a finished one."""
    if trial.state == "training" and trial.epochs:
        return f"epoch {trial.epoch}/{trial.epochs}"
    if trial.validation_accuracy is None:
        return trial.state
    score = f"{trial.validation_accuracy:.3f}"
    short = trial.state == "finished" and room < _LONG
    return score if short else f"{trial.state} {score}"


def _around(items: Sequence[T], room: int, busy: Sequence[T]) -> Sequence[T]:
    """At most `room` items in a row; those that are busy are among them if they fit."""
    if len(items) <= room:
        return items
    last = max((items.index(one) for one in busy), default=0)
    start = max(0, min(last - room + 1, len(items) - room))
    return items[start : start + room]
