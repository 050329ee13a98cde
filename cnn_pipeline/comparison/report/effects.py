"""The main effects of the settings as one chart: a dot, its interval, and the single pairs."""

from __future__ import annotations

from typing import Any

from cnn_pipeline.comparison import numbers
from cnn_pipeline.comparison.report.charts import Chart, draw
from cnn_pipeline.comparison.setting_names import level_text
from cnn_pipeline.comparison.types import Comparison, Effect

WIDTH, ROW = 520, 34
"""Pixels of the plot, and of one effect in it."""


def effects_chart(comparison: Comparison) -> Chart | None:
    """Differences in test accuracy against the reference level; None where none has a number."""
    effects = [
        effect for axis in comparison.axes for effect in axis.effects if effect.estimate is not None
    ]
    if not effects:
        return None
    values = [_datum(effect) for effect in effects]
    singles = [
        {
            "change": change_text(effect),
            "points": 100 * pair.difference,
            "text": f"{pair.label} against {pair.against}\n{numbers.points(pair.difference, None)}",
        }
        for effect in effects
        if len(effect.pairs) > 1
        for pair in effect.pairs
        if pair.difference is not None
    ]
    said = "; ".join(value["text"].replace("\n", ", ") for value in values)
    return draw(
        "chart-effects",
        "Effect of each setting on test accuracy",
        f"Change of test accuracy in percentage points, with 95 % intervals. {said}.",
        _spec(values, singles),
    )


def change_text(effect: Effect) -> str:
    """'16 filters → 64 filters'."""
    return f"{level_text(effect.axis, effect.against)} → {level_text(effect.axis, effect.level)}"


def _datum(effect: Effect) -> dict[str, Any]:
    points, interval = 100 * (effect.estimate or 0.0), effect.interval
    pairs = "1 pair" if len(effect.pairs) == 1 else f"{len(effect.pairs)} pairs"
    return {
        "change": change_text(effect),
        "points": points,
        "low": 100 * interval.low if interval else points,
        "high": 100 * interval.high if interval else points,
        "fill": (
            "var(--accent)" if interval is not None and interval.excludes_zero else "var(--paper)"
        ),
        "text": f"{change_text(effect)}\n{numbers.points(effect.estimate, interval)}, {pairs}",
    }


def _spec(values: list[dict[str, Any]], singles: list[dict[str, Any]]) -> dict[str, Any]:
    x = {
        "field": "points",
        "type": "quantitative",
        "axis": {
            "title": "change of test accuracy, percentage points",
            "labelExpr": "datum.value === 0 ? '0' : format(datum.value, '+~r')",
        },
    }
    y = {
        "field": "change",
        "type": "nominal",
        "sort": [value["change"] for value in values],
        "axis": {
            "title": None,
            "labelLimit": 320,
            "ticks": False,
            "domain": False,
            "labelColor": "var(--ink)",
        },
    }
    accent = {"value": "var(--accent)"}
    text = {"field": "text", "type": "nominal"}
    return {
        "width": WIDTH,
        "height": {"step": ROW},
        "data": {"values": values},
        "encoding": {"y": y, "tooltip": text},
        "layer": [
            {
                "data": {"values": [{"zero": 0}]},
                "mark": {"type": "rule", "strokeWidth": 1.5, "color": "var(--soft)"},
                "encoding": {"x": {"field": "zero", "type": "quantitative"}, "y": None,
                             "tooltip": None},
            },
            {
                "data": {"values": singles},
                "mark": {"type": "tick", "thickness": 1.5, "size": 14},
                "encoding": {"x": x, "y": y, "color": {"value": "var(--soft)"}, "tooltip": text},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": accent},
            },
            {
                "mark": {"type": "point", "size": 110, "strokeWidth": 2, "opacity": 1},
                "encoding": {
                    "x": x,
                    "stroke": accent,
                    "fill": {"field": "fill", "type": "nominal", "scale": None},
                },
            },
        ],
    }  # fmt: skip
