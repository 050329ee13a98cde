"""A comparison as one HTML file that needs no network: verdict, tables and two charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from cnn_pipeline.comparison import Comparison, numbers, render
from cnn_pipeline.comparison.records import Row

_WIDTH, _HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 616, 16, 290
_LINE_HEIGHT, _LETTER_WIDTH, _LABEL_GAP = 14, 7, 10
_MOST_SHIFTS = 2 * (_BOTTOM - _TOP) // _LINE_HEIGHT
"""Half lines from one end of the drawing to the other."""


@dataclass(frozen=True)
class Tick:
    """A mark on an axis, at a coordinate of the drawing."""

    at: float
    text: str


@dataclass(frozen=True)
class Point:
    """One variant in a chart; coordinates are those of the drawing."""

    label: str
    x: float
    y: float
    low: float
    high: float
    """Ends of the interval; low accuracy is further down, so `low` >= `high`."""
    efficient: bool
    text_x: float
    text_y: float
    anchor: str
    """SVG's text-anchor: 'start' or 'end'."""
    description: str
    """All of it in words."""


@dataclass(frozen=True)
class Scatter:
    """Test accuracy against one cost on a logarithmic axis, laid out for SVG."""

    title: str
    x_title: str
    points: tuple[Point, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    right: int = _RIGHT
    top: int = _TOP
    bottom: int = _BOTTOM


def render_html(comparison: Comparison, *, links: Mapping[str, str] | None = None) -> str:
    """The report as one HTML document without any outside resource.

    Args:
        comparison: what to show.
        links: text to address, shown under the headline; http and https only.

    Raises:
        ValueError: a link with another scheme.
    """
    for text, address in (links or {}).items():
        if not address.startswith(("http://", "https://")):
            raise ValueError(
                f"link {text!r} must start with http:// or https://, received {address!r}"
            )
    environment = Environment(
        loader=PackageLoader("cnn_pipeline"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("comparison.html").render(
        comparison=comparison,
        links=dict(links or {}),
        render=render,
        leaderboard=[render.leaderboard_cells(row) for row in comparison.rows],
        pairwise=[render.pairwise_cells(difference) for difference in comparison.pairwise],
        charts=[
            chart
            for chart in (
                scatter(comparison.ranked, "macs", "MACs per image"),
                scatter(comparison.ranked, "num_params", "parameters"),
            )
            if chart is not None
        ],
    )


def scatter(rows: Sequence[Row], cost: str, x_title: str) -> Scatter | None:
    """Chart of `rows` against the field `cost`; None where fewer than two can be drawn."""
    known = [
        (row, float(value), float(row.test_accuracy))
        for row in rows
        if (value := getattr(row, cost)) and value > 0 and row.test_accuracy is not None
    ]
    if len(known) < 2:
        return None
    costs = [value for _, value, _ in known]
    lows = [row.test_interval.low if row.test_interval else test for row, _, test in known]
    highs = [row.test_interval.high if row.test_interval else test for row, _, test in known]
    x_low, x_high = math.log10(min(costs)) - 0.1, math.log10(max(costs)) + 0.1
    y_ticks, y_low, y_high = _linear_ticks(min(lows), max(highs))

    def across(value: float) -> float:
        share = (math.log10(value) - x_low) / (x_high - x_low)
        return round(_LEFT + share * (_RIGHT - _LEFT), 1)

    def down(value: float) -> float:
        return round(_BOTTOM - (value - y_low) / (y_high - y_low) * (_BOTTOM - _TOP), 1)

    places = [(across(value), down(test)) for _, value, test in known]
    labels = _place_labels(places, [row.label for row, _, _ in known])
    return Scatter(
        title=f"Test accuracy against {x_title}",
        x_title=f"{x_title} (logarithmic scale)",
        points=tuple(
            Point(
                label=row.label,
                x=x,
                y=y,
                low=down(low),
                high=down(high),
                efficient=bool(row.efficient),
                text_x=text_x,
                text_y=text_y,
                anchor=anchor,
                description=f"{row.label}: "
                f"{numbers.percent_with_interval(row.test_accuracy, row.test_interval)}, "
                f"{numbers.scaled(value)} {x_title}"
                + (", nothing else beats it" if row.efficient else ""),
            )
            for (row, value, _), (x, y), (text_x, text_y, anchor), low, high in zip(
                known, places, labels, lows, highs, strict=True
            )
        ),
        x_ticks=tuple(Tick(across(v), numbers.scaled(v)) for v in _log_ticks(x_low, x_high)),
        y_ticks=tuple(Tick(down(value), numbers.percent(value)) for value in y_ticks),
    )


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between 10^low and 10^high; only powers in a wide range."""
    steps = (1, 2, 5) if high - low < 2.5 else (1,)
    return [
        step * 10.0**power
        for power in range(math.floor(low), math.ceil(high) + 1)
        for step in steps
        if low <= math.log10(step) + power <= high
    ]


def _linear_ticks(low: float, high: float) -> tuple[list[float], float, float]:
    """About five round shares that enclose low..high, with the ends of the axis."""
    span = max(high - low, 0.002)
    step = next(
        factor * 10.0**power
        for power in range(-5, 1)
        for factor in (1, 2, 5)
        if factor * 10.0**power >= span / 5
    )
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    return [i * step for i in range(first, last + 1)], first * step, last * step


def _place_labels(
    places: Sequence[tuple[float, float]], labels: Sequence[str]
) -> list[tuple[float, float, str]]:
    """Beside each point, on its inner side, moved up or down past labels that are there."""
    taken: list[tuple[float, float, float]] = []
    placed = []
    for (x, y), label in zip(places, labels, strict=True):
        length = _LETTER_WIDTH * len(label)
        rightwards = x + _LABEL_GAP + length <= _RIGHT
        start = x + _LABEL_GAP if rightwards else x - _LABEL_GAP - length
        shifts = sorted(
            range(-_MOST_SHIFTS, _MOST_SHIFTS + 1), key=lambda shift: (abs(shift), shift)
        )
        text_y = next(
            (
                candidate
                for shift in shifts
                if _TOP <= (candidate := y + shift * _LINE_HEIGHT / 2) <= _BOTTOM
                and not any(
                    abs(candidate - other_y) < _LINE_HEIGHT
                    and start < other_end
                    and other_start < start + length
                    for other_start, other_end, other_y in taken
                )
            ),
            y,
        )
        taken.append((start, start + length, text_y))
        placed.append(
            (x + _LABEL_GAP, text_y, "start") if rightwards else (x - _LABEL_GAP, text_y, "end")
        )
    return placed
