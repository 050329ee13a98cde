"""Accuracy against cost, and the variants on the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.quantities import MOST, duration, percent
from cnn_pipeline.comparison import numbers
from cnn_pipeline.comparison.report.charts import Chart, draw, faded
from cnn_pipeline.comparison.report.labels import Box, place_labels
from cnn_pipeline.comparison.report.marks import Mark
from cnn_pipeline.comparison.types import Row

WIDTH, HEIGHT = 400, 300
"""Pixels of the plot without its axes."""
_RADIUS = 7
"""Pixels of a symbol."""


@dataclass(frozen=True)
class Cost:
    """A quantity to keep small."""

    field: str
    """Name of the field of `Row`."""
    title: str
    axis: str

    def text(self, value: float) -> str:
        """The value with its unit."""
        if self.field == metric_names.TRAIN_SECONDS:
            return f"{duration(value)} of training"
        return f"{numbers.scaled(value)} {self.title}"


COSTS = (
    Cost(metric_names.NUM_PARAMS, "parameters", "parameters (logarithmic)"),
    Cost(metric_names.MACS, "MACs", "MACs per image (logarithmic)"),
    Cost(metric_names.TRAIN_SECONDS, "training time", "training time, seconds (logarithmic)"),
)


def unbeaten(rows: Sequence[Row], field: str) -> frozenset[str]:
    """Labels of the rows on the Pareto front of validation accuracy and the cost `field`.

    A row beats another if it is at least as accurate and at most as costly, and better in one of
    both. Rows that lack a number are ignored.
    """
    known = [
        (row.label, row.validation_accuracy, cost)
        for row in rows
        if row.validation_accuracy is not None and (cost := getattr(row, field)) is not None
    ]
    return frozenset(
        label
        for label, accuracy, cost in known
        if not any(
            theirs >= accuracy and price <= cost and (theirs, price) != (accuracy, cost)
            for _, theirs, price in known
        )
    )


def trade_off(
    rows: Sequence[Row], cost: Cost, looks: Mapping[str, Mark], measure: str = "accuracy"
) -> Chart | None:
    """The metric on test against one cost; None if fewer than two variants can be drawn.

    Variants that may still be best get a star. Of many variants the best have names and intervals,
    and the others are a cloud of dots.
    """
    best = unbeaten(rows, cost.field)
    values = [
        _datum(row, cost, row.label in best, looks[row.label])
        for row in rows
        if row.test_accuracy is not None and (getattr(row, cost.field) or 0) > 0
    ]
    if len(values) < 2:
        return None
    x_domain = _log_domain([value["x"] for value in values])
    values, cloud = values[:MOST], values[MOST:]
    ends = [end for value in values for end in (value["low"], value["high"])]
    y_domain = _padded([*ends, *(value["test"] for value in cloud)])
    _add_labels(values, x_domain, y_domain)
    more = f"; and {len(cloud):,} more" if cloud else ""
    said = "; ".join(value["text"].replace("\n", ", ") for value in values)
    return draw(
        f"chart-{cost.field.replace('_', '-')}",
        f"Test {measure} against {cost.title}",
        f"Test {measure} against {cost.title}. {said}{more}.",
        _chart(values, cloud, cost, x_domain, y_domain, measure),
    )


def _datum(row: Row, cost: Cost, best: bool, look: Mark) -> dict[str, Any]:
    test, spread = row.test_accuracy or 0.0, row.test_interval
    value = float(getattr(row, cost.field))
    lines = [
        row.label,
        f"test {numbers.percent_with_interval(test, spread)}",
        f"validation {percent(row.validation_accuracy, 2)}",
        cost.text(value),
        *(["on the Pareto front"] if best else []),
    ]
    return {
        "label": row.label,
        "x": value,
        "test": test,
        "low": spread.low if spread else test,
        "high": spread.high if spread else test,
        "best": best,
        "name": f"{row.label} ★" if row.may_be_best else row.label,
        "colour": look.paint,
        "fill": look.paint if best else "var(--paper)",
        "shape": look.shape,
        "text": "\n".join(lines),
    }


def _add_labels(
    values: list[dict[str, Any]], x_domain: tuple[float, float], y_domain: tuple[float, float]
) -> None:
    """Add to each datum the place of its label, which depends on all others."""
    left, right = (math.log10(end) for end in x_domain)

    def across(value: float) -> float:
        return (math.log10(value) - left) / (right - left) * WIDTH

    def down(share: float) -> float:
        return (y_domain[1] - share) / (y_domain[1] - y_domain[0]) * HEIGHT

    places = [(across(value["x"]), down(value["test"])) for value in values]
    drawn = [
        box
        for (x, y), value in zip(places, values, strict=True)
        for box in (
            Box(x - 2, down(value["high"]), x + 2, down(value["low"])),
            Box(x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS),
        )
    ]
    labels = place_labels(places, [value["name"] for value in values], drawn, WIDTH, HEIGHT)
    for value, label in zip(values, labels, strict=True):
        value |= {"dx": label.dx, "dy": label.dy, "align": label.align}


def _chart(
    values: list[dict[str, Any]],
    cloud: list[dict[str, Any]],
    cost: Cost,
    x_domain: tuple[float, float],
    y_domain: tuple[float, float],
    measure: str,
) -> alt.LayerChart:
    x = (
        alt.X("x:Q")
        .scale(type="log", domain=x_domain, nice=False)
        .axis(title=cost.axis, format="~s", grid=False, values=_log_ticks(*x_domain))
    )
    y_scale = alt.Scale(domain=y_domain, zero=False, nice=False)
    y_axis = alt.Axis(title=f"test {measure}", format=".1~%", tickCount=5)
    y = alt.Y("test:Q", scale=y_scale, axis=y_axis)
    whole = alt.Chart(width=WIDTH, height=HEIGHT).encode(x, y)
    base = whole.encode(opacity=faded(0.15), tooltip="text:N")
    names = base.encode(text="name:N")
    place: dict[str, Any] = {
        "baseline": "middle",
        "dx": alt.ExprRef("datum.dx"),
        "dy": alt.ExprRef("datum.dy"),
        "align": alt.ExprRef("datum.align"),
    }
    layers = [
        *([_dots(cloud, x, y)] if cloud else []),
        whole.transform_filter("datum.best").mark_line(
            strokeDash=[3, 4], strokeWidth=1.5, color="var(--soft)"
        ),
        base.mark_rule(strokeWidth=1.5).encode(
            alt.Y("low:Q", scale=y_scale, axis=y_axis), alt.Color("colour:N", scale=None), y2="high"
        ),
        base.mark_point(size=110, strokeWidth=2, opacity=1).encode(
            alt.Stroke("colour:N", scale=None),
            alt.Fill("fill:N", scale=None),
            alt.Shape("shape:N", scale=None),
        ),
        # An outline in the page's colour keeps labels readable above lines.
        names.mark_text(stroke="var(--paper)", strokeWidth=4, strokeJoin="round", **place),
        names.mark_text(**place),
    ]
    return alt.LayerChart(data=alt.InlineData(values), layer=layers)


def _dots(cloud: list[dict[str, Any]], x: alt.X, y: alt.Y) -> alt.Chart:
    shown = [{name: value[name] for name in ("label", "x", "test", "text")} for value in cloud]
    dots = alt.Chart(alt.InlineData(shown)).encode(x, y, tooltip="text:N")
    circles: alt.Chart = dots.mark_circle(size=16, color="var(--soft)", opacity=0.5)
    return circles


def _log_domain(values: Sequence[float]) -> tuple[float, float]:
    """The range of the values with a margin, at least a factor of two."""
    low, high = math.log10(min(values)), math.log10(max(values))
    room = max(0.06 * (high - low), (math.log10(2) - (high - low)) / 2, 0.03)
    return 10 ** (low - room), 10 ** (high + room)


def _log_ticks(low: float, high: float) -> list[float]:
    """At most eight round numbers from `low` to `high`; fewer per decade in a wide range."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**power for power in powers for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= 8:
            return ticks
    return ticks


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = max(0.06 * (high - low), 0.001)
    return low - room, high + room
