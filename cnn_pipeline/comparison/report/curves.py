"""Learning curves of all trials, overlaid: a chart each for accuracy and loss per split."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from cnn_pipeline.base import metric_names
from cnn_pipeline.comparison.report.charts import Chart, draw, faded
from cnn_pipeline.comparison.report.data import TrialData
from cnn_pipeline.comparison.report.marks import Mark

WIDTH, HEIGHT = 470, 240
"""Pixels of the plot without its axes."""

_MARKED = 30
"""Longer curves have no symbols, because they would overlap."""
_MOST_POINTS = 1200
"""Points of a chart and rows of the table; longer curves keep every second epoch, third, ..."""
_PANELS = (
    (metric_names.VAL_ACCURACY, "validation accuracy"),
    (metric_names.ACCURACY, "training accuracy"),
    (metric_names.VAL_LOSS, "validation loss"),
    (metric_names.LOSS, "training loss"),
)


def curve_charts(trials: Sequence[TrialData], looks: Mapping[str, Mark]) -> tuple[Chart, ...]:
    """A chart for each metric that any trial has. NaN and infinity leave a gap."""
    drawn = [trial for trial in trials if trial.label in looks]
    charts = (_panel(drawn, metric, title, looks) for metric, title in _PANELS)
    return tuple(chart for chart in charts if chart is not None)


HEADER = (
    "trial",
    "epoch",
    "training accuracy",
    "validation accuracy",
    "training loss",
    "validation loss",
)


def curve_rows(trials: Sequence[TrialData]) -> list[tuple[str, ...]]:
    """The curves as numbers, under `HEADER`."""
    metrics = (
        metric_names.ACCURACY,
        metric_names.VAL_ACCURACY,
        metric_names.LOSS,
        metric_names.VAL_LOSS,
    )
    whole = [trial for trial in trials if all(trial.curves.get(metric) for metric in metrics)]
    lengths = [min(len(trial.curves[metric]) for metric in metrics) for trial in whole]
    return [
        (
            trial.name,
            str(epoch),
            *(
                _shown(trial.curves[metric][epoch], metric_names.ACCURACY in metric)
                for metric in metrics
            ),
        )
        for trial, length in zip(whole, lengths, strict=True)
        for epoch in _kept(length, max(lengths), len(whole))
    ]


def _kept(epochs: int, longest: int, trials: int) -> list[int]:
    """The epochs to show of one curve: evenly spaced, and the last."""
    step = math.ceil(longest * trials / _MOST_POINTS)
    return sorted({*range(0, epochs, step), epochs - 1})


def _panel(
    trials: Iterable[TrialData], metric: str, title: str, looks: Mapping[str, Mark]
) -> Chart | None:
    curves = {trial.name: (trial, trial.curves.get(metric, ())) for trial in trials}
    curves = {name: (t, line) for name, (t, line) in curves.items() if _finite(line)}
    if not curves:
        return None
    percent = metric.endswith(metric_names.ACCURACY)
    longest = max(len(line) for _, line in curves.values())
    values = [
        _datum(trial, epoch, line[epoch], percent, title, looks[trial.label])
        for trial, line in curves.values()
        for epoch in _kept(len(line), longest, len(curves))
        if math.isfinite(line[epoch])
    ]
    last = "; ".join(
        f"{name} {_shown(_finite(line)[0], percent)} to {_shown(_finite(line)[-1], percent)}"
        for name, (_, line) in curves.items()
    )
    lines, symbols = _layers(values, title, percent, longest)
    data = alt.InlineData(values)
    return draw(
        f"chart-{metric.replace('_', '-')}",
        f"{title.capitalize()} by epoch",
        f"{title.capitalize()} from the first to the last epoch. {last}.",
        alt.LayerChart(data=data, layer=[lines, symbols]),
        alt.LayerChart(data=data, layer=[lines]) if longest > _MARKED else None,
    )


def _finite(line: Iterable[float]) -> list[float]:
    return [value for value in line if math.isfinite(value)]


def _shown(value: float, percent: bool) -> str:
    return f"{100 * value:.2f} %" if percent else f"{value:.4f}"


def _datum(
    trial: TrialData, epoch: int, value: float, percent: bool, title: str, look: Mark
) -> dict[str, Any]:
    return {
        "label": trial.label,
        "trial": trial.name,
        "epoch": epoch,
        "value": value,
        "colour": look.paint,
        "shape": look.shape,
        "dash": list(look.dash) or [1, 0],
        "text": f"{trial.name}\nepoch {epoch}\n{title} {_shown(value, percent)}",
    }


def _layers(
    values: list[dict[str, Any]], title: str, percent: bool, epochs: int
) -> tuple[alt.Chart, alt.Chart]:
    """The lines and their symbols, which are invisible on long curves but have tooltips."""
    ticks = range(0, epochs, max(1, math.ceil(epochs / 10)))
    room = 0.1 if epochs > 1 else 0.5  # a single epoch stands in the middle
    base = alt.Chart(width=WIDTH, height=HEIGHT).encode(
        alt.X("epoch:Q")
        .scale(domain=[-room, epochs - 1 + room], nice=False)
        .axis(title="epoch", values=list(ticks), format="d", grid=False),
        alt.Y("value:Q")
        .scale(domain=_domain(values, percent), nice=False)
        .axis(title=title, tickCount=5, format=".1~%" if percent else alt.Undefined),
    )
    lines = base.mark_line(strokeWidth=2, clip=True).encode(
        alt.Color("colour:N", scale=None),
        alt.StrokeDash("dash:N", scale=None),
        detail="trial:N",
        opacity=faded(0.12),
    )
    symbols = base.mark_point(size=45, strokeWidth=2, clip=True).encode(
        alt.Stroke("colour:N", scale=None),
        alt.Shape("shape:N", scale=None),
        fill=alt.FillValue("var(--paper)"),
        opacity=faded(0.12) if epochs <= _MARKED else alt.OpacityValue(0),
        tooltip="text:N",
    )
    return lines, symbols


def _domain(values: Sequence[Mapping[str, Any]], percent: bool) -> tuple[float, float]:
    """The range of the values with a margin; a diverging loss does not flatten the others."""
    ordered = sorted(value["value"] for value in values)
    low, high = ordered[0], ordered[-1]
    if not percent:
        high = min(high, 10 * ordered[len(ordered) // 2])
    room = 0.05 * (high - low) or 0.01
    return low - room, high + room
