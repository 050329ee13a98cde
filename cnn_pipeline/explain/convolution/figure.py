"""Convolution and pooling number by number, on a real image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnn_pipeline.explain.convolution import arithmetic
from cnn_pipeline.explain.drawing.numbers import draw_numbers, frame, plain, shades, signs
from cnn_pipeline.explain.drawing.page import (
    BLUE,
    FAINT,
    INK,
    MARGIN,
    MUTED,
    SMALL,
    VERMILION,
    new_page,
    place,
    write,
)

_MAP = 280  # pixels of the larger map's longer side, at most
_CELL = 46  # pixels of one number
_SIGN = 34  # pixels for a sign between two grids
_JOIN = 64  # pixels between a map and the numbers
_TOP = 118
_BLOCK = 262  # pixels of height of one worked pixel
_COLORS = (BLUE, VERMILION)


def draw_convolution(
    image: np.ndarray, steps: Sequence[arithmetic.ConvolutionStep], title: str, subtitle: str
) -> Figure:
    """One or two pixels of a convolution step by step, between the image and the whole result.

    image: uint8 `[h, w]`. steps: all of one filter. Each has a colour that marks its place in the
    image, its numbers and its place in the result.
    """
    kernel = steps[0].kernel
    reach, size = len(kernel) // 2, len(kernel) * _CELL
    answers = arithmetic.relu(arithmetic.convolve(image, kernel))
    scale = _MAP / max(image.shape)
    height, width = (side * scale for side in image.shape)
    grids_left = MARGIN + width + _JOIN
    right_left = grids_left + 3 * size + 2 * _SIGN + _JOIN
    figure, page = new_page(
        right_left + answers.shape[1] * scale + MARGIN,
        _TOP + max(_BLOCK * len(steps), height + 40) - 4,
        title,
        subtitle,
    )
    middle = _TOP + (_BLOCK * len(steps) - 40 - height) / 2
    top = max(float(_TOP), middle)
    _map(page, MARGIN, top, shades(image, 255.0), scale, f"image, {_size(image)}")
    result_top = top + reach * scale
    heading = f"result after ReLU, {_size(answers)}"
    _map(page, right_left, result_top, shades(answers), scale, heading)
    for number, (step, color) in enumerate(zip(steps, _COLORS, strict=False)):
        y = _TOP + number * _BLOCK
        _worked(page, grids_left, y, step, color)
        window = (
            MARGIN + (step.column - reach) * scale,
            top + (step.row - reach) * scale,
            len(kernel) * scale,
        )
        _zoom(page, window, (grids_left, y, size), color)
        place_x = right_left + (step.column - reach) * scale
        place_y = result_top + (step.row - reach) * scale
        frame(page, place_x, place_y, scale, scale, color)
        from_x = grids_left + 3 * size + 2 * _SIGN
        page.plot(
            [from_x + 4, place_x - 2], [y + size / 2, place_y + scale / 2], color=color, lw=0.9
        )
    return figure


def draw_pooling(
    numbers: np.ndarray, step: arithmetic.PoolingStep, title: str, subtitle: str
) -> Figure:
    """One window of a max-pooling of `numbers` `[h, w]`, between the map and the pooled map.

    Both maps are drawn at the same scale, to show how much smaller the second is.
    """
    size = len(step.window)
    pooled = arithmetic.max_pool(numbers, size)
    scale = _MAP / max(numbers.shape)
    height, width = (side * scale for side in numbers.shape)
    cell, high = 62.0, float(numbers.max())
    grid_left = MARGIN + width + 90
    grid_top = _TOP + (height - size * cell) / 2 - 10
    right_left = grid_left + size * cell + 110
    result_top = _TOP + (height - pooled.shape[0] * scale) / 2
    figure, page = new_page(
        max(right_left + pooled.shape[1] * scale + MARGIN, 760), _TOP + height + 40, title, subtitle
    )
    _map(page, MARGIN, _TOP, shades(numbers), scale, f"before, {_size(numbers)}")
    _map(page, right_left, result_top, shades(pooled, high), scale, f"after, {_size(pooled)}")
    window = (MARGIN + step.column * size * scale, _TOP + step.row * size * scale, size * scale)
    _zoom(page, window, (grid_left, grid_top, size * cell), BLUE)
    pixels = shades(step.window, high)
    draw_numbers(page, grid_left, grid_top, step.window, pixels, cell, size=12)
    write(page, grid_left, grid_top - 16, f"{step.window.size} numbers", color=MUTED, size=SMALL)
    row, column = np.unravel_index(int(step.window.argmax()), step.window.shape)
    x, y = grid_left + column * cell, grid_top + row * cell
    frame(page, x, y, cell, cell, VERMILION)
    below = grid_top + size * cell + 20
    centre = grid_left + size * cell / 2
    kept = f"the largest, {plain(step.output)}, is kept"
    write(page, centre, below, kept, color=VERMILION, weight="bold", ha="center")
    place_x = right_left + step.column * scale
    place_y = result_top + step.row * scale
    frame(page, place_x, place_y, scale, scale, VERMILION)
    page.plot(
        [grid_left + size * cell + 5, place_x - 2],
        [grid_top + size * cell / 2, place_y + scale / 2],
        color=VERMILION,
        linewidth=0.9,
    )
    return figure


def _map(page: Axes, x: float, y: float, pixels: np.ndarray, scale: float, heading: str) -> None:
    height, width = pixels.shape[:2]
    write(page, x, y - 16, heading, color=MUTED, size=SMALL)
    place(page, x, y, pixels, (width * scale, height * scale))


def _worked(page: Axes, x: float, y: float, step: arithmetic.ConvolutionStep, color: str) -> None:
    """Draw neighbours times filter equals products, then their sum, then ReLU."""
    size = len(step.kernel) * _CELL
    grids = [
        ("pixel and neighbours", step.window, shades(step.window, 255.0), ""),
        ("the filter", step.kernel, signs(step.kernel), "×"),
        (f"{step.kernel.size} products", step.products, signs(step.products), "="),
    ]
    for number, (heading, numbers, pixels, sign) in enumerate(grids):
        left = x + number * (size + _SIGN)
        write(page, left, y - 14, heading, color=MUTED, size=SMALL)
        draw_numbers(page, left, y, numbers, pixels, _CELL)
        write(page, left - _SIGN / 2, y + size / 2, sign, size=14, ha="center")
    frame(page, x, y, size, size, color)
    first, *rest = step.products.ravel()
    terms = plain(float(first)) + "".join(
        f" {'−' if value < 0 else '+'} {plain(abs(float(value)))}" for value in rest
    )
    room = 3 * size + 2 * _SIGN
    write(page, x, y + size + 24, f"sum   {terms} = {plain(step.total)}", room, color=INK)
    told = "stays as it is" if step.total > 0 else "negative, so nothing is left"
    line = f"ReLU   max(0, {plain(step.total)}) = {plain(step.output)}"
    written = write(page, x, y + size + 48, line, room, color=color, weight="bold")
    end = written.get_window_extent().x1 / 1.5
    write(page, end + 14, y + size + 48, told, color=MUTED, size=SMALL)


def _zoom(
    page: Axes, window: tuple[float, float, float], grid: tuple[float, float, float], color: str
) -> None:
    """Draw a frame around `window` (x, y, side), and lines from it to `grid`."""
    x, y, side = window
    frame(page, x, y, side, side, color)
    for corner in (0, 1):
        page.plot(
            [x + side + 1, grid[0] - 2],
            [y + corner * side, grid[1] + corner * grid[2]],
            color=FAINT,
            linewidth=0.9,
        )


def _size(numbers: np.ndarray) -> str:
    return "x".join(map(str, numbers.shape))
