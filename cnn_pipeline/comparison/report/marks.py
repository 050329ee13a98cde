"""The look of each variant in all charts. They differ in shape and dashes, not only in colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnn_pipeline.comparison.types import AxisEffects, Row

NUM_COLOURS = 8
"""`--v0` to `--v7` in style.css, each in a light and a dark shade."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
DASHES = ((), (6, 3), (2, 2), (9, 3, 2, 3), (1, 3), (12, 4))
"""Lengths of strokes and gaps in pixels; empty is a solid line."""


@dataclass(frozen=True)
class Mark:
    """The look of one variant."""

    colour: int
    form: int

    @property
    def paint(self) -> str:
        """A CSS colour that follows the page's scheme."""
        return f"var(--v{self.colour})"

    @property
    def shape(self) -> str:
        """Name of the symbol, as Vega calls it."""
        return SHAPES[self.form]

    @property
    def dash(self) -> tuple[int, ...]:
        """Strokes and gaps of its lines."""
        return DASHES[self.form]


def marks(rows: Sequence[Row], axes: Sequence[AxisEffects]) -> dict[str, Mark]:
    """A mark for each variant; marks repeat if there are more variants than marks.

    If two settings vary and identify each variant, colour shows the one with more levels and form
    the other, so that a grid can be read without the legend. Else both number the variants.
    """
    if len(axes) == 2:
        first, second = sorted(axes, key=lambda axis: -len(axis.levels))
        if len(first.levels) <= NUM_COLOURS and len(second.levels) <= len(SHAPES):
            placed = {
                row.label: Mark(
                    first.levels.index(row.params[first.axis]),
                    second.levels.index(row.params[second.axis]),
                )
                for row in rows
                if row.params.get(first.axis) in first.levels
                and row.params.get(second.axis) in second.levels
            }
            if len(set(placed.values())) == len(rows):
                return placed
    labels = sorted(row.label for row in rows)
    return {
        label: Mark(number % NUM_COLOURS, number % len(SHAPES))
        for number, label in enumerate(labels)
    }
