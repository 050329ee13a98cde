"""One legend for all charts: each variant's colour, symbol, line and summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cnn_pipeline.base.quantities import duration
from cnn_pipeline.comparison import numbers
from cnn_pipeline.comparison.report.marks import Mark
from cnn_pipeline.comparison.types import Row

_SYMBOLS = {
    "circle": "M8 12a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",
    "square": "M8.5 8.5h7v7h-7Z",
    "triangle-up": "M12 7.5l4.5 8h-9Z",
    "triangle-down": "M12 16.5l4.5-8h-9Z",
    "diamond": "M12 7l4 5l-4 5l-4-5Z",
    "cross": "M10.5 7.5h3v3h3v3h-3v3h-3v-3h-3v-3h3Z",
}
"""Paths in a box of 24 pixels, similar to Vega's symbols of these names."""


@dataclass(frozen=True)
class Entry:
    """One variant in the legend."""

    label: str
    paint: str
    path: str
    dash: str
    """SVG's stroke-dasharray."""
    summary: str
    starred: bool
    """Whether it may still be best."""


def legend(
    rows: Sequence[Row], looks: Mapping[str, Mark], measure: str = "accuracy"
) -> tuple[Entry, ...]:
    """An entry for each ranked variant, best first."""
    return tuple(
        Entry(
            row.label,
            looks[row.label].paint,
            _SYMBOLS[looks[row.label].shape],
            " ".join(map(str, looks[row.label].dash)),
            f"{row.label}: rank {row.rank}, test {measure} "
            f"{numbers.percent_with_interval(row.test_accuracy, row.test_interval)}, "
            f"{numbers.count(row.num_params)} parameters, {numbers.scaled(row.macs)} MACs, "
            f"{duration(row.train_seconds)} of training",
            bool(row.may_be_best),
        )
        for row in rows
    )
