"""A chart of the effects of the settings: a dot, its interval, and the single pairs."""

from __future__ import annotations

from typing import Any

import altair as alt

from cnn_pipeline.base.quantities import MOST
from cnn_pipeline.comparison import numbers, scope
from cnn_pipeline.comparison.forest import change_text
from cnn_pipeline.comparison.report.charts import Chart, draw
from cnn_pipeline.comparison.types import Comparison, Effect

WIDTH, ROW = 520, 34
"""Pixels of the plot's width, and of one effect's height."""


def effects_chart(comparison: Comparison) -> Chart | None:
    """Differences in the metric on test from the reference level; None if there is no estimate."""
    effects = [
        effect
        for axis in comparison.axes
        for effect in (*axis.simple, *axis.effects)
        if effect.estimate is not None
    ]
    if not effects:
        return None
    if len(comparison.rows) > MOST:  # the table has all
        effects = effects[:MOST]
    values = [_datum(effect) for effect in effects]
    singles = [
        {
            "change": change_text(effect, "→"),
            "points": 100 * pair.difference,
            "text": f"{pair.label} against {pair.against}\n{numbers.points(pair.difference, None)}",
        }
        for effect in effects
        if len(effect.pairs) > 1
        for pair in effect.pairs
        if pair.difference is not None
    ]
    measure = scope.measure(comparison.sweep)
    said = "; ".join(value["text"].replace("\n", ", ") for value in values)
    return draw(
        "chart-effects",
        f"Effect of each setting on test {measure}",
        f"Change of test {measure} in percentage points, with 95 % intervals. {said}.",
        _chart(values, singles, measure),
    )


def _datum(effect: Effect) -> dict[str, Any]:
    points, interval = 100 * (effect.estimate or 0.0), effect.interval
    pairs = "1 pair" if len(effect.pairs) == 1 else f"{len(effect.pairs)} pairs"
    return {
        "change": change_text(effect, "→"),
        "points": points,
        "low": 100 * interval.low if interval else points,
        "high": 100 * interval.high if interval else points,
        "fill": (
            "var(--accent)" if interval is not None and interval.excludes_zero else "var(--paper)"
        ),
        "text": f"{change_text(effect, '→')}\n{numbers.points(effect.estimate, interval)}, {pairs}",
    }


def _chart(
    values: list[dict[str, Any]], singles: list[dict[str, Any]], measure: str
) -> alt.LayerChart:
    axis = alt.Axis(
        title=f"change of test {measure}, percentage points",
        labelExpr="datum.value === 0 ? '0' : format(datum.value, '+~r')",
    )
    y = (
        alt.Y("change:N")
        .sort([value["change"] for value in values])
        .axis(title=None, labelLimit=320, ticks=False, domain=False, labelColor="var(--ink)")
    )
    soft, accent = "var(--soft)", "var(--accent)"
    effects = alt.Chart(alt.InlineData(values)).encode(y, tooltip="text:N")
    pairs = alt.Chart(alt.InlineData(singles)).encode(
        alt.X("points:Q", axis=axis), y, tooltip="text:N"
    )
    zero = alt.Chart(alt.InlineData([{"zero": 0}])).encode(x="zero:Q")
    layers = [
        zero.mark_rule(strokeWidth=1.5, color=soft),
        pairs.mark_tick(thickness=1.5, size=14, color=soft),
        effects.mark_rule(strokeWidth=2, color=accent).encode(alt.X("low:Q", axis=axis), x2="high"),
        effects.mark_point(size=110, strokeWidth=2, opacity=1, stroke=accent).encode(
            alt.X("points:Q", axis=axis), alt.Fill("fill:N", scale=None)
        ),
    ]
    return alt.LayerChart(layer=layers, width=WIDTH, height={"step": ROW})
