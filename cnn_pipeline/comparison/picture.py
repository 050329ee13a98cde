"""The picture of a sweep as a chart: each line of a panel is a dot, its interval and its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnn_pipeline.comparison.forest import Line, Panel, panels
from cnn_pipeline.comparison.types import Comparison

if TYPE_CHECKING:
    import altair as alt

FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"
_ROW, _PLOT = 36, 230  # pixels of a line's height, and of the plot's width
_SMALL_ROW, _SMALL_PLOT, _COLUMN, _MOST_LINES = 14, 110, 42, 6


@dataclass(frozen=True)
class Palette:
    """The colours of a chart, as CSS has them."""

    ink: str
    soft: str
    accent: str
    paper: str


_FIXED = Palette(ink="#1c2733", soft="#7c8792", accent="#0072b2", paper="white")


def panel_chart(panel: Panel, palette: Palette) -> alt.LayerChart:
    """The chart of one panel: the cost stands below each name. Marked lines have a filled dot."""
    import altair as alt

    values = _values(panel.lines)
    rows = _rows(values)
    texts = [
        _text(rows, "name", palette.ink, -12, "right", fontSize=13, dy=-8),
        _text(rows, "cost", palette.soft, -12, "right", fontSize=11, dy=8),
    ]
    return alt.LayerChart(
        data=alt.InlineData(values),
        layer=[*_intervals(panel, rows, palette), *texts],
        width=_PLOT,
        height=_ROW * len(panel.lines),
    )


def small_svgs(comparison: Comparison) -> tuple[str, ...]:
    """The picture as one SVG of the variants and one of the effects, as far as they are known.

    Each is at most 100 pixels high, the part of a run's description that MLflow shows at first, and
    cut to the first lines. Colours are fixed, because a picture does not know the page around it.
    """
    import vl_convert

    return tuple(
        vl_convert.vegalite_to_svg(_small(panel).to_dict()) for panel in panels(comparison)
    )


def _small(panel: Panel) -> alt.LayerChart:
    import altair as alt

    cut = len(panel.lines) > _MOST_LINES
    values: list[dict[str, Any]] = [{"name": " ", "short": panel.unit, "macs": "MACs"}]
    values += _values(panel.lines[: _MOST_LINES - 1] if cut else panel.lines)
    if cut:
        values.append({"name": f"and {len(panel.lines) - _MOST_LINES + 1} more"})
    rows = _rows(values)
    right = _SMALL_PLOT + _COLUMN
    texts = [
        _text(rows, "name", _FIXED.ink, -6, "right", fontSize=11),
        _text(rows, "short", _FIXED.ink, right, "right", fontSize=11),
        _text(rows, "macs", _FIXED.soft, right + _COLUMN, "right", fontSize=11),
    ]
    chart = alt.LayerChart(
        data=alt.InlineData(values),
        layer=[*_intervals(panel, rows, _FIXED, axis=False), *texts],
        width=_SMALL_PLOT,
        height=_SMALL_ROW * len(values),
    )
    configured: alt.LayerChart = chart.configure(
        background=_FIXED.paper,
        padding={"left": 28, "right": 12, "top": 1, "bottom": 1},  # the reader's font may be wider
        font=FONT,
        view=alt.ViewConfig(stroke=None),
    )
    return configured


def _values(lines: Sequence[Line]) -> list[dict[str, Any]]:
    return [
        {
            "name": line.name.replace("->", "→"),
            "estimate": line.estimate,
            "low": line.low,
            "high": line.high,
            "marked": line.marked,
            "short": line.short,
            "macs": line.macs,
            "cost": line.cost,
            "tip": f"{line.name}\n{line.text}\n{line.cost}",
        }
        for line in lines
    ]


def _intervals(
    panel: Panel, rows: alt.Y, palette: Palette, *, axis: bool = True
) -> list[alt.Chart]:
    """Dots with their intervals, above the line of zero if that has a meaning."""
    import altair as alt

    ends = alt.Scale(domain=list(panel.ends), zero=False, nice=False, padding=6)
    signs = "datum.value === 0 ? '0' : format(datum.value, '+~r')"
    shown: Any = (
        alt.Axis(
            title=None,
            tickCount=4,
            grid=False,
            labelExpr=signs if panel.has_zero else "datum.label + ' %'",
        )
        if axis
        else None
    )
    low, dot = (alt.X(f"{field}:Q", scale=ends, axis=shown) for field in ("low", "estimate"))
    charts = []
    if panel.has_zero:
        zero = alt.Chart(alt.InlineData([{"low": 0}]))
        charts.append(zero.mark_rule(color=palette.soft, strokeDash=[2, 2]).encode(x=low))
    base = alt.Chart().transform_filter("isValid(datum.low)").encode(y=rows, tooltip="tip:N")
    filled = alt.condition("datum.marked", alt.value(palette.accent), alt.value(palette.paper))
    return [
        *charts,
        base.mark_rule(strokeWidth=2, color=palette.accent).encode(x=low, x2="high"),
        base.mark_point(size=70, strokeWidth=2, opacity=1, stroke=palette.accent).encode(
            x=dot, fill=filled
        ),
    ]


def _text(rows: alt.Y, field: str, colour: str, x: float, align: Any, **look: Any) -> alt.Chart:
    import altair as alt

    chart: alt.Chart = (
        alt.Chart()
        .mark_text(align=align, fill=colour, **look)
        .encode(y=rows, x=alt.value(x), text=f"{field}:N")
    )
    return chart


def _rows(values: Sequence[dict[str, Any]]) -> alt.Y:
    import altair as alt

    return alt.Y("name:N", sort=[value["name"] for value in values], axis=None)
