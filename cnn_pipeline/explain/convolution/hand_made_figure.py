"""Whole images after filters made by hand, before and after pooling."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cnn_pipeline.explain.convolution.arithmetic import convolve, max_pool, relu
from cnn_pipeline.explain.convolution.hand_made import HandMade
from cnn_pipeline.explain.drawing.numbers import draw_numbers, shades, signs
from cnn_pipeline.explain.drawing.page import MARGIN, MUTED, SMALL, new_page, place, write

_SIDE = 136  # pixels of each picture
_GAP = 14
_CELL = 30  # pixels of a weight
_ROWS = 12  # pixels between the rows of one image
_IMAGES = 34  # pixels between two images
_HEAD = 236  # pixels above the first row: title, weights, and what a filter finds
_LETTERS = 23  # in a line below the weights


def draw_filtered(
    images: Sequence[np.ndarray], titles: Sequence[str], filters: Sequence[HandMade], title: str
) -> Figure:
    """One column per filter; per image a row of maps after ReLU, and a row of pooled maps.

    images: uint8 `[h, w]` each, drawn as squares. Each map has its own scale, black at 0 and white
    at its largest number. Pooled maps are drawn as large as the others, so their pixels show.
    """
    columns = 1 + len(filters)
    height = _HEAD + len(images) * (2 * _SIDE + _ROWS + _IMAGES)
    figure, page = new_page(
        2 * MARGIN + columns * (_SIDE + _GAP) - _GAP,
        height,
        title,
        "above convolution and ReLU, below max-pooling 2x2; white is each map's largest number",
    )
    lefts = [MARGIN + column * (_SIDE + _GAP) for column in range(columns)]
    for left, made in zip(lefts[1:], filters, strict=True):
        write(page, left, 88, made.name, _SIDE, weight="bold")
        draw_numbers(page, left, 102, made.weights, signs(made.weights), _CELL, size=SMALL)
        for number, text in enumerate(textwrap.wrap(made.finds, _LETTERS)[:3]):
            write(page, left, 204 + 13 * number, text, _SIDE + 6, color=MUTED, size=7.5)
    for number, (image, heading) in enumerate(zip(images, titles, strict=True)):
        top = _HEAD + 12 + number * (2 * _SIDE + _ROWS + _IMAGES)
        below = top + _SIDE + _ROWS
        place(page, lefts[0], top, shades(image, 255.0), (_SIDE, _SIDE))
        write(page, lefts[0], below + 10, heading, _SIDE, weight="bold")
        maps = [relu(convolve(image, made.weights)) for made in filters]
        pooled = [max_pool(answers) for answers in maps]
        sizes = ("x".join(map(str, part.shape)) for part in (image, maps[0], pooled[0]))
        words = ("image {}", "convolved {}", "pooled {}")
        for line, (word, size) in enumerate(zip(words, sizes, strict=True)):
            write(page, lefts[0], below + 32 + 17 * line, word.format(size), color=MUTED)
        for left, answers, small in zip(lefts[1:], maps, pooled, strict=True):
            place(page, left, top, shades(answers), (_SIDE, _SIDE))
            place(page, left, below, shades(small), (_SIDE, _SIDE))
    return figure
