"""The first layer's kernels."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.explain.drawing.page import MARGIN, MUTED, SMALL, new_page, place, write
from cnn_pipeline.explain.drawing.tiles import colour, tile

_SHOWN = 256  # more kernels would be too small to see
_SIDE = 900  # pixels of the grid's width, at most
_GAP = 6  # pixels between kernels
_NUMBERS = 34  # pixels left of the grid, for the first filter's number of each row
_COLORMAP = "PuOr_r"  # diverging, and safe for every kind of colour blindness
_TOP = 88
_EXTREME = 0.99  # the colours end at this quantile: one outlier would make all others pale


def draw_kernels(weights: np.ndarray, title: str) -> Figure:
    """The first convolution's kernels, one tile per filter, in the filters' order.

    weights: float `[height, width, channels, filters]`. With one channel a tile shows the sign
    and size of each weight; with three the colour that the kernel responds to most, grey for 0.
    """
    if weights.ndim != 4 or weights.shape[2] not in (1, 3):
        fault = (
            "kernels needs the first convolution's weights [height, width, 1 or 3 channels, "
            f"filters], received shape {list(weights.shape)}"
        )
        raise InvalidInput([fault])
    height, width, channels, filters = weights.shape
    shown = min(filters, _SHOWN)
    limit = float(np.quantile(np.abs(weights.astype(np.float64)), _EXTREME))
    ordered = np.moveaxis(weights[..., :shown].astype(np.float64), 3, 0)
    if channels == 1:
        pixels = colour(ordered[..., 0], _COLORMAP, -limit, limit)
    else:
        share = (ordered / (2 * limit or 1.0) + 0.5).clip(0.0, 1.0)
        pixels = np.round(255 * share).astype(np.uint8)
    # A power of two, because filter counts usually are, and about twice as wide as high.
    columns = 2 ** math.ceil(math.log2(shown) / 2 + 0.5) if shown > 4 else shown
    size = max(12, min(72, _SIDE // columns - _GAP))
    step = size + _GAP
    grid_width, grid_height = columns * step - _GAP, -(-shown // columns) * step - _GAP
    sheet = tile(list(pixels), size, columns, _GAP)
    figure, page = new_page(
        max(2 * MARGIN + _NUMBERS + grid_width, 760),
        _TOP + grid_height + 76,
        title,
        f"{filters:,} filter{'s' if filters > 1 else ''} of {height}x{width}x{channels}"
        + (f", the first {shown}" if shown < filters else ""),
    )
    place(page, MARGIN + _NUMBERS, _TOP, sheet)
    for row, first in enumerate(range(0, shown, columns)):
        y = _TOP + row * step + size / 2
        right = MARGIN + _NUMBERS - 10
        write(page, right, y, str(first), size=SMALL, color=MUTED, ha="right")
    y = _TOP + grid_height + 32
    if channels == 1:
        left = MARGIN + _NUMBERS
        write(page, left, y, f"{-limit:.2f}", size=SMALL, color=MUTED)
        scale = colour(np.linspace(-1, 1, 101)[np.newaxis], _COLORMAP, -1.0, 1.0)
        place(page, left + 48, y - 6, scale, (202, 12))
        write(page, left + 258, y, f"{limit:.2f}", size=SMALL, color=MUTED)
        text = "weight; white is 0, 1 in 100 is beyond the ends"
        write(page, left + 310, y, text, size=SMALL, color=MUTED)
    else:
        text = f"red, green and blue weights, {-limit:.2f} to {limit:.2f}; grey is 0"
        write(page, MARGIN + _NUMBERS, y, text, size=SMALL, color=MUTED)
    return figure
