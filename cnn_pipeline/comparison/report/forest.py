"""The picture at the top of the page: all variants and effects with their intervals and costs."""

from __future__ import annotations

from dataclasses import replace

from cnn_pipeline.base.quantities import MOST
from cnn_pipeline.comparison.forest import panels
from cnn_pipeline.comparison.picture import Palette, panel_chart
from cnn_pipeline.comparison.report.charts import Chart, draw
from cnn_pipeline.comparison.types import Comparison

_PAGE = Palette(
    ink="var(--ink)",
    soft="var(--soft)",
    accent="var(--accent)",
    paper="var(--paper)",
)
_KEYS = {"%": "forest-variants", "points": "forest-effects"}


def captions(comparison: Comparison) -> dict[str, str]:
    """What the dots mean, by key of the chart."""
    about = "A filled dot: may still be best."
    if not any(row.may_be_best for row in comparison.ranked):
        about = "Nothing is known about new seeds."
    said = {
        "forest-variants": about,
        "forest-effects": "A filled dot: the interval excludes zero. Costs are ratios.",
    }
    if len(comparison.rows) <= MOST:
        return said
    left_out = {_KEYS[panel.unit]: len(panel.lines) - MOST for panel in panels(comparison)}
    return {
        key: text + (f" And {left_out[key]:,} more." if left_out.get(key, 0) > 0 else "")
        for key, text in said.items()
    }


def forest_charts(comparison: Comparison) -> tuple[Chart, ...]:
    """One chart of the variants and one of the effects, as far as they are known.

    Of many variants they have the first lines.
    """
    most = MOST if len(comparison.rows) > MOST else None
    shown = (replace(panel, lines=panel.lines[:most]) for panel in panels(comparison))
    return tuple(
        draw(_KEYS[panel.unit], panel.title, panel.said, panel_chart(panel, _PAGE))
        for panel in shown
    )
