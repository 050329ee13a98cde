"""The images, and the squares in them, that excite each filter of a layer most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from cnn_pipeline.data.rows import Images
from cnn_pipeline.explain.drawing import page as sheet
from cnn_pipeline.explain.drawing.fonts import legible
from cnn_pipeline.explain.drawing.numbers import signs
from cnn_pipeline.explain.drawing.tiles import as_rgb, tile
from cnn_pipeline.explain.inside.findings import ExcitingPatches

_TILE, _GAP = 52, 3  # pixels
_TOP_IMAGES = 3  # per filter
_COLUMNS = 5  # of filters
_KERNEL = 30  # pixels
_BETWEEN = 22  # pixels between two filters
_LABEL, _CELL_GAP = 20, 18  # pixels above a filter's pictures, and below
_MOST = 80  # filters that are shown
_TOP = 84


def draw_patches(
    found: ExcitingPatches,
    images: Images,
    class_names: Sequence[str],
    title: str,
    kernels: np.ndarray | None = None,
) -> Figure:
    """Per filter its number and favourite class, images with the square marked, and the squares.

    images: uint8 `[n, h, w, 1 or 3]`, those that `found` refers to. kernels: the layer's weights
    `[h, w, 1, filters]`, drawn below the number if the layer's input is the grey image.
    """
    class_names = legible(class_names)
    filters = len(found.strengths)
    shown = min(filters, _MOST)
    top = min(_TOP_IMAGES, found.images.shape[1])
    drawn_kernels = kernels is not None and kernels.shape[2] == 1
    lead = _KERNEL + 8 if drawn_kernels else 0
    width = lead + _TOP_IMAGES * (_TILE + _GAP) - _GAP + _BETWEEN
    height = _LABEL + 2 * _TILE + _GAP + _CELL_GAP
    columns = min(_COLUMNS, shown)
    rows = -(-shown // columns)
    figure, page = sheet.new_page(
        max(2 * sheet.MARGIN + columns * width - _BETWEEN, 760),
        _TOP + rows * height + 8,
        title,
        f"the strongest answers, each from {found.field}x{found.field} pixels; in words the class "
        "with the strongest on average"
        + (f"; the first {shown} of {filters} filters" if shown < filters else ""),
    )
    dead = set(found.dead.tolist())
    outlines: list[list[tuple[float, float]]] = []
    for k in range(shown):
        x = sheet.MARGIN + k % columns * width
        y = _TOP + k // columns * height
        favourite = int(found.favourites[k])
        sheet.write(page, x, y + 8, str(k), weight="bold")
        told = "answers nothing" if k in dead else class_names[favourite]
        sheet.write(
            page, x + 26, y + 8, told, width - 26 - _BETWEEN, size=sheet.SMALL, color=sheet.MUTED
        )
        if kernels is not None and drawn_kernels:
            pixels = signs(kernels[:, :, 0, k])
            sheet.place(page, x, y + _LABEL, pixels, (_KERNEL, _KERNEL))
        if k not in dead:
            outlines += _draw(page, x + lead, y + _LABEL, found, k, images, top)
    page.add_collection(LineCollection(outlines, colors=sheet.VERMILION, linewidths=1.2))
    return figure


def _draw(
    page: Axes, x: float, y: float, found: ExcitingPatches, k: int, images: Images, top: int
) -> list[list[tuple[float, float]]]:
    """Draw one filter's images and squares; returns the squares' outlines."""
    chosen = as_rgb(images[found.images[k, :top]])
    sheet.place(page, x, y, tile(list(chosen), _TILE, top, _GAP))
    squares = as_rgb(found.patches[k, :top])
    sheet.place(page, x, y + _TILE + _GAP, tile(list(squares), _TILE, top, _GAP))
    height, width = images.shape[1:3]
    scale = _TILE / max(height, width)
    outlines = []
    for number, (row, column) in enumerate(found.corners[k, :top]):
        left = x + number * (_TILE + _GAP) + (_TILE - width * scale) / 2
        upper = y + (_TILE - height * scale) / 2
        x0, x1 = (left + scale * np.clip([column, column + found.field], 0, width)).tolist()
        y0, y1 = (upper + scale * np.clip([row, row + found.field], 0, height)).tolist()
        outlines.append([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)])
    return outlines
