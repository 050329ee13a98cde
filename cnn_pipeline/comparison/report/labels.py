"""Place the labels of points so that they cover neither each other nor the drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_LINE_HEIGHT, _LETTER_WIDTH, _GAP = 15, 7, 10
"""Pixels of 12 px text, and between a point and its label."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def covers(self, other: Box) -> bool:
        """Whether both overlap."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


@dataclass(frozen=True)
class Placed:
    """A label's offset from its point, and which side of its text is there."""

    dx: float
    dy: float
    align: str
    """'left' or 'right'."""
    box: Box


def place_labels(
    places: Sequence[tuple[float, float]],
    labels: Sequence[str],
    drawn: Sequence[Box],
    width: float,
    height: float,
) -> list[Placed]:
    """Place each label beside its point.

    Args:
        places: points in pixels, y downwards.
        labels: their names.
        drawn: what should not be covered, such as the points with their intervals.
        width: of the plot.
        height: of the plot; labels stay inside.

    Returns:
        Per label the place that covers the fewest of `drawn`, and of these the nearest. Earlier
        labels are covered only if there is no other place.
    """
    placed: list[Placed] = []
    for place, label in zip(places, labels, strict=True):
        candidates = _candidates(place, _LETTER_WIDTH * len(label), width, height)
        placed.append(
            min(
                candidates,
                key=lambda candidate: (
                    sum(candidate.box.covers(other.box) for other in placed),
                    sum(candidate.box.covers(box) for box in drawn),
                    abs(candidate.dy) + (candidate.align == "right"),
                ),
            )
        )
    return placed


def _candidates(
    place: tuple[float, float], length: float, width: float, height: float
) -> list[Placed]:
    x, y = place
    found = []
    for dy in range(-round(y), round(height - y) + 1, 3):
        for sign, align in ((1, "left"), (-1, "right")):
            dx = sign * _GAP
            left = x + dx if sign > 0 else x + dx - length
            if left >= 0 and left + length <= width:
                top = y + dy - _LINE_HEIGHT / 2
                box = Box(left, top, left + length, top + _LINE_HEIGHT)
                found.append(Placed(dx, dy, align, box))
    beside = Box(x, y - _LINE_HEIGHT / 2, x + length, y + _LINE_HEIGHT / 2)
    return found or [Placed(_GAP, 0, "left", beside)]
