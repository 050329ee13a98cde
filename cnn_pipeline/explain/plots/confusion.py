"""The confusion matrix."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from cnn_pipeline.base.quantities import percent
from cnn_pipeline.explain.drawing.fonts import legible
from cnn_pipeline.explain.drawing.page import (
    BODY,
    FAINT,
    INK,
    MARGIN,
    MUTED,
    PAPER,
    SMALL,
    new_page,
    place,
    write,
)
from cnn_pipeline.explain.drawing.tiles import colour
from cnn_pipeline.network.evaluation import Evaluation

_SIDE = 560  # pixels of the matrix
_NAMES = 120  # pixels left of it, for the class names
_SLANTED = 92  # pixels that a slanted name may be wide
_TOP = 168  # pixels above it: title and slanted class names
_COUNTED = 20  # up to this many classes a cell has room for its count
_NAMED = 40  # up to this many classes a row has room for its name
_MOST_DARK = 0.36  # share from which a cell is dark enough for white type


def draw_confusion_matrix(evaluation: Evaluation, title: str) -> Figure:
    """Rows are true classes, columns predicted ones; shade is the share of the row, text the count.

    The shade grows with the square root of the share: otherwise a mistake in one of a hundred
    images would look white beside the diagonal. Recall is on the right, precision below.
    """
    counts, names = evaluation.confusion, legible(evaluation.class_names)
    k = len(names)
    cell = _SIDE / k
    left, bottom = MARGIN + _NAMES, _TOP + _SIDE
    figure, page = new_page(
        left + _SIDE + 92,
        bottom + 56,
        title,
        f"{len(evaluation.labels):,} images, {percent(evaluation.accuracy, 2)} right; "
        "rows: true class, columns: the answer, "
        "shade: share of the row",
    )
    share = counts / counts.sum(axis=1, keepdims=True).clip(1)
    pixels = colour(np.sqrt(share), "Blues", 0.0, 1.0)
    pixels[counts == 0] = 250
    place(page, left, _TOP, pixels, (_SIDE, _SIDE))
    page.hlines(
        [_TOP + i * cell for i in range(1, k)], left, left + _SIDE, color=PAPER, linewidth=1
    )
    page.vlines([left + i * cell for i in range(1, k)], _TOP, bottom, color=PAPER, linewidth=1)
    centres = [(i + 0.5) * cell for i in range(k)]
    if k <= _NAMED:
        size = min(BODY, 0.45 * cell)
        for centre, name in zip(centres, names, strict=True):
            write(page, left - 10, _TOP + centre, name, _NAMES - 10, ha="right", size=size)
            write(
                page,
                left + centre - 4,
                _TOP - 8,
                name,
                _SLANTED,
                size=size,
                ha="left",
                va="bottom",
                rotation=40,
                rotation_mode="anchor",
            )
    if k <= _COUNTED:
        write(page, left + _SIDE + 12, _TOP - 14, "recall", size=SMALL, color=MUTED)
        write(page, left - 10, bottom + 18, "precision", size=SMALL, color=MUTED, ha="right")
        size = min(BODY, 0.32 * cell)
        for row, column in np.argwhere(counts):
            write(
                page,
                left + centres[column],
                _TOP + centres[row],
                f"{counts[row, column]:,}",
                ha="center",
                size=size,
                color=PAPER if share[row, column] > _MOST_DARK else INK,
                weight="bold" if row == column else "normal",
            )
        for centre, scores in zip(centres, evaluation.per_class, strict=True):
            recall = percent(scores["recall"]) if scores["support"] else "no images"
            write(page, left + _SIDE + 12, _TOP + centre, recall, size=SMALL, color=MUTED)
            write(
                page,
                left + centre,
                bottom + 18,
                percent(scores["precision"]),
                size=min(SMALL, 0.3 * cell),
                color=MUTED,
                ha="center",
            )
    page.hlines([bottom], left, left + _SIDE, color=FAINT, linewidth=1)
    return figure
