"""Small grids of numbers, such as a filter's weights, and frames on enlarged maps."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from cnn_pipeline.explain.drawing.page import BODY, INK, PAPER, RULE, place, write
from cnn_pipeline.explain.drawing.tiles import RGB, colour

WEIGHTS = "PuOr_r"  # diverging, and safe for every kind of colour blindness
SHADES = "gray"
_DARK = 0.45  # share of full luminance below which text is white


def shades(numbers: np.ndarray, high: float | None = None) -> RGB:
    """Color `[h, w]` from black at 0 to white at `high`, by default the largest number."""
    return colour(numbers, SHADES, 0.0, float(numbers.max()) if high is None else high)


def signs(numbers: np.ndarray, limit: float | None = None) -> RGB:
    """Color `[h, w]` from violet at -`limit` over white at 0 to orange at `limit`."""
    bound = (float(np.abs(numbers).max()) if limit is None else limit) or 1.0
    return colour(numbers, WEIGHTS, -bound, bound)


def draw_numbers(
    page: Axes,
    x: float,
    y: float,
    numbers: np.ndarray,
    pixels: RGB,
    cell: float,
    size: float = BODY,
) -> None:
    """Write `numbers` `[h, w]` on cells with the colours `pixels` `[h, w, 3]`."""
    height, width = numbers.shape
    place(page, x, y, pixels, (width * cell, height * cell))
    page.hlines([y + i * cell for i in range(height + 1)], x, x + width * cell, RULE, linewidth=1)
    page.vlines([x + i * cell for i in range(width + 1)], y, y + height * cell, RULE, linewidth=1)
    for (row, column), number in np.ndenumerate(numbers):
        luminance = float(pixels[row, column] @ np.array([0.299, 0.587, 0.114])) / 255
        write(
            page,
            x + (column + 0.5) * cell,
            y + (row + 0.5) * cell,
            plain(float(number)),
            size=size,
            ha="center",
            color=PAPER if luminance < _DARK else INK,
        )


def plain(number: float) -> str:
    """'774', '−12', '1/9' or '0.11': two decimals unless whole or a unit fraction."""
    size, sign = abs(number), "−" if number < 0 else ""
    if size.is_integer():
        return f"{sign}{size:.0f}"
    if 1 / size < 100 and abs(1 / size - round(1 / size)) < 1e-9:
        return f"{sign}1/{round(1 / size)}"
    return f"{sign}{size:.2f}"


def frame(page: Axes, x: float, y: float, width: float, height: float, color: str) -> None:
    """Outline a rectangle from outside, so that nothing in it is hidden."""
    place = (x - 1, y - 1)
    page.add_patch(
        Rectangle(place, width + 2, height + 2, fill=False, edgecolor=color, linewidth=2, zorder=3)
    )
