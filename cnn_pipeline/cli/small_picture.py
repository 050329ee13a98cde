"""The few lines that a small terminal gets while a sweep runs."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cnn_pipeline.base.quantities import clock
from cnn_pipeline.cli.forecast import SweepState
from cnn_pipeline.cli.progress_text import accuracies


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
            trial.phase_text,
            ProgressBar(total=1.0, completed=trial.trained, width=12),
            ", ".join(filter(None, (accuracies(trial.metrics, state.metric), trial.speed_text))),
        )
    overall = Table.grid(padding=(0, 1))
    overall.add_row(
        Text("sweep", "bold"),
        f"{len(state.ended)}/{state.total}",
        ProgressBar(total=1.0, completed=state.done, width=28),
        f"{elapsed}, {state.left_text(now)}",
    )
    lines: list[RenderableType] = [table, overall]
    for told in (state.delay, state.stage, *state.waits):
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
    if state.pictures is not None:
        done, total = state.pictures.done, state.pictures.total
        grid = Table.grid(padding=(0, 1))
        grid.add_row(
            "preparing pictures",
            ProgressBar(total=total, completed=done, width=24),
            f"{done:,}/{total:,}",
        )
        yield grid
