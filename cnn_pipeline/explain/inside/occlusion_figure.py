"""Where a network looks, in images it classified correctly and wrongly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnn_pipeline.base.quantities import percent
from cnn_pipeline.explain.drawing.fonts import legible
from cnn_pipeline.explain.drawing.numbers import WEIGHTS, frame, signs
from cnn_pipeline.explain.drawing.page import (
    BLUE,
    BODY,
    INK,
    MARGIN,
    MUTED,
    SMALL,
    VERMILION,
    new_page,
    place,
    write,
)
from cnn_pipeline.explain.drawing.tiles import RGB, as_rgb, colour
from cnn_pipeline.explain.inside.findings import Look

_SIDES = {1: 400, 2: 400, 3: 280}  # pixels of a picture, by the number of columns
_MANY_SIDE = 128
_GAP = 22  # pixels between columns
_BETWEEN = 8  # pixels between an image and its map
_ROW = 136  # pixels of one row of images, besides the pictures
_LEAST = 960  # pixels of the page's width, for the legend
_TIMES = 400  # the odds are this many times lower or higher at the ends of the scale
_TOP = 128


def draw_looks(
    rows: Sequence[tuple[str, Sequence[Look]]], class_names: Sequence[str], title: str
) -> Figure:
    """Rows of images with headings; per image the map, and the square that lowers the odds most.

    Orange: the odds of the predicted class fall when the square is covered, so its content
    supports that class. Violet: they rise, so it supports another class.
    """
    class_names = legible(class_names)
    columns = max(len(found) for _, found in rows)
    size = rows[0][1][0].size
    side = _SIDES.get(columns, _MANY_SIDE)
    across = columns == 1  # the map is beside a single image, else below
    height, width = rows[0][1][0].image.shape[:2]
    tall = side * height / max(height, width)
    row_height = _ROW + (tall if across else 2 * tall + _BETWEEN)
    figure, page = new_page(
        max(2 * MARGIN + columns * (side + _GAP) - _GAP, _LEAST),
        _TOP + len(rows) * row_height - 20,
        title,
        f"a square of {size}x{size} pixels is covered with background at every place in turn, and "
        "the network asked again",
    )
    _legend(page)
    for number, (heading, found) in enumerate(rows):
        y = _TOP + number * row_height
        write(page, MARGIN, y, heading, weight="bold")
        for column, one in enumerate(found):
            x = MARGIN + column * (side + _GAP)
            _column(page, x, y + 18, one, class_names, side, across)
    return figure


def _legend(page: Axes) -> None:
    y = 82
    text = f"covered, the odds of its answer are {_TIMES} times lower"
    write(page, MARGIN, y + 6, text, size=SMALL, color=MUTED)
    scale = colour(np.linspace(1, -1, 101)[np.newaxis], WEIGHTS, -1.0, 1.0)
    place(page, MARGIN + 326, y, scale, (202, 12))
    text = f"{_TIMES} times higher; frame: the square that costs it most"
    write(page, MARGIN + 540, y + 6, text, size=SMALL, color=MUTED)


def _column(
    page: Axes, x: float, y: float, one: Look, class_names: Sequence[str], side: int, across: bool
) -> None:
    given = class_names[one.given]
    room = side + _GAP - 4
    wrong = one.right is False
    answer = f"{given} {percent(float(one.probabilities[one.given]))}"
    write(page, x, y + 8, answer, room, color=VERMILION if wrong else BLUE, size=BODY)
    if one.true is not None:
        truth = f"in truth {class_names[one.true]}" if wrong else "right"
        write(page, x, y + 24, truth, room, size=SMALL, color=INK if wrong else MUTED)
    top = y + 38
    height, width = one.image.shape[:2]
    scale = side / max(height, width)
    size = (width * scale, height * scale)
    second = (x + size[0] + _GAP, top) if across else (x, top + size[1] + _BETWEEN)
    place(page, x, top, as_rgb(one.image), size)
    place(page, second[0], second[1], _overlay(one), size)
    row, column = one.weakest
    corner = (one.corners[1][column] * scale, one.corners[0][row] * scale)
    square = one.size * scale
    for left, upper in ((x, top), second):
        color = VERMILION if wrong else BLUE
        frame(page, left + corner[0], upper + corner[1], square, square, color)
    without = one.covered[row, column]
    end = second[1] + size[1] + 14
    write(page, x, end, "frame covered:", room, size=SMALL, color=MUTED)
    now = int(without.argmax())
    if now == one.given:
        told = f"still {given} {percent(float(without[now]))}"
    else:
        told = f"{class_names[now]} {percent(float(without[now]))}"
    write(page, x, end + 16, told, room, size=SMALL)


def _overlay(one: Look) -> RGB:
    """The map in colours, with the image as a shadow."""
    colours = signs(-one.pixels, np.log(_TIMES)).astype(np.float64)
    light = one.image.astype(np.float64).mean(axis=2, keepdims=True) / 255
    return np.asarray(np.round(colours * (1 - 0.4 * light)), np.uint8)
