"""The arithmetic of one pixel as a block of text, at most 80 columns wide."""

from __future__ import annotations

import textwrap

import numpy as np

from cnn_pipeline.explain.convolution.arithmetic import ConvolutionStep, PoolingStep, convolution_at
from cnn_pipeline.explain.convolution.hand_made import HandMade

WIDTH = 80
_BETWEEN = "   "


def number(value: float) -> str:
    """'774', '-12' or '0.11': two decimals unless the number is whole."""
    value = float(value) + 0.0  # turns -0.0 into 0
    return f"{value:.0f}" if value.is_integer() else f"{value:.2f}"


def grid(numbers: np.ndarray) -> list[str]:
    """`[h, w]` as lines with aligned columns."""
    texts = [[number(value) for value in row] for row in numbers]
    width = max(len(text) for row in texts for text in row)
    return [" ".join(text.rjust(width) for text in row) for row in texts]


def convolution_text(image: np.ndarray, made: HandMade, step: ConvolutionStep, title: str) -> str:
    """One step of a convolution of `image` `[h, w]` with `made`, with all its numbers."""
    sums = sum_text(step)
    height, width = image.shape
    reach = len(step.kernel) // 2
    lines = [
        *_wrapped(f"Convolution with the filter '{made.name}' on {title}", ""),
        *_wrapped(f"It finds {made.finds}.", ""),
        "",
        f"The pixel in row {step.row}, column {step.column} (counted from 0) and its neighbours:",
        "",
        *_side_by_side(
            [
                ("neighbours", grid(step.window)),
                ("x", []),
                ("filter", grid(step.kernel)),
                ("=", []),
                ("products", grid(step.products)),
            ]
        ),
        "",
        *_wrapped(sums, "  sum:  "),
        f"  ReLU: max(0, {number(step.total)}) = {number(step.output)}",
        "",
        *_wrapped(
            f"{number(step.output)} is the number in row {step.row - reach}, column "
            f"{step.column - reach} of the new map. The same is done for every pixel that has all "
            f"its neighbours, so {height}x{width} become "
            f"{height - 2 * reach}x{width - 2 * reach}.",
            "",
        ),
    ]
    return "\n".join(lines)


def negative_text(image: np.ndarray, made: HandMade, row: int, column: int) -> str:
    """What ReLU does to the negative sum at the pixel (row, column)."""
    step = convolution_at(image, made.weights, row, column)
    return "\n".join(
        _wrapped(
            f"In row {row}, column {column} the sum is {number(step.total)}: the opposite of what "
            f"the filter looks for. ReLU makes it {number(step.output)}.",
            "",
        )
    )


def pooling_text(numbers: np.ndarray, step: PoolingStep, title: str) -> str:
    """One step of a max-pooling of `numbers` `[h, w]`."""
    size = len(step.window)
    (height, width), count = numbers.shape, size * size
    top, left = step.row * size, step.column * size
    kept = ", ".join(number(value) for value in step.window.ravel())
    lines = [
        *_wrapped(f"Max-pooling {size}x{size} of {title}", ""),
        "",
        f"Rows {top} to {top + size - 1}, columns {left} to {left + size - 1} (counted from 0):",
        "",
        *("  " + line for line in grid(step.window)),
        "",
        *_wrapped(f"max({kept}) = {number(step.output)}", "  "),
        "",
        *_wrapped(
            f"{number(step.output)} is the number in row {step.row}, column {step.column} of the "
            f"pooled map. Of every {count} numbers one is kept, so {height}x{width} become "
            f"{height // size}x{width // size}: what was found stays, where exactly is forgotten.",
            "",
        ),
    ]
    return "\n".join(lines)


def sum_text(step: ConvolutionStep) -> str:
    """'0 + 43 - 182 = -139': the products, row by row, and their sum."""
    first, *rest = step.products.ravel()
    terms = [number(first)]
    for value in rest:
        terms.append(f"{'-' if value < 0 else '+'} {number(abs(value))}")
    return f"{' '.join(terms)} = {number(step.total)}"


def _wrapped(text: str, start: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=" " * len(start))


def _side_by_side(blocks: list[tuple[str, list[str]]]) -> list[str]:
    """Blocks of lines with headings, next to each other; one without lines is a sign like '='."""
    rows = max(len(lines) for _, lines in blocks)
    columns = []
    for heading, lines in blocks:
        if not lines:
            cells = [heading if row == rows // 2 else "" for row in range(rows)]
            cells.insert(0, "")
        else:
            cells = [heading, *lines]
        width = max(map(len, cells))
        columns.append([cell.ljust(width) for cell in cells])
    return ["  " + _BETWEEN.join(cells).rstrip() for cells in zip(*columns, strict=True)]
