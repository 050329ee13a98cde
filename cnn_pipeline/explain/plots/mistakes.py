"""The most confident mistakes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.quantities import percent
from cnn_pipeline.data.rows import Images
from cnn_pipeline.explain.drawing.fonts import legible
from cnn_pipeline.explain.drawing.page import BLUE, MARGIN, SMALL, VERMILION, new_page, place, write
from cnn_pipeline.explain.drawing.tiles import as_rgb, tile
from cnn_pipeline.network.evaluation import Evaluation

_TILE = 112  # pixels
_GAP = 22  # pixels between columns
_CAPTION = 74  # pixels below a row of images
_TOP = 92


def draw_misclassified(
    evaluation: Evaluation, images: Images, title: str, *, columns: int = 7, rows: int = 3
) -> Figure:
    """The mistakes with the highest confidence, highest first, with the predicted class.

    images: uint8 `[n, height, width, 1 or 3]`, those that `evaluation` scored, in its order.
    """
    if len(images) != len(evaluation.labels):
        expected = len(evaluation.labels)
        fault = f"misclassified needs the {expected} evaluated images, received {len(images)}"
        raise InvalidInput([fault])
    names = legible(evaluation.class_names)
    wrong = np.flatnonzero(~evaluation.correct)
    confidence = evaluation.probabilities.max(axis=1)
    chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][: columns * rows]
    used_rows = -(-len(chosen) // columns)
    figure, page = new_page(
        2 * MARGIN + columns * (_TILE + _GAP) - _GAP,
        _TOP + used_rows * (_TILE + _CAPTION) + 12,
        title,
        f"{len(wrong):,} of {len(evaluation.labels):,} images are wrong"
        + (f"; the {len(chosen)} it was surest of" if len(chosen) else ""),
    )
    if len(chosen):
        right = float(page.get_xlim()[1]) - MARGIN
        write(page, right - 190, 56, "true class", color=BLUE, ha="right")
        write(page, right, 56, "given class and probability", color=VERMILION, ha="right")
    height, width = images.shape[1:3]
    inset = _TILE * max(0.0, 1 - width / height) / 2  # captions start where narrow images do
    for row in range(used_rows):
        members = chosen[row * columns : (row + 1) * columns]
        y = _TOP + row * (_TILE + _CAPTION)
        pixels = tile(list(as_rgb(images[members])), _TILE, len(members), _GAP)
        place(page, MARGIN, y, pixels)
        for column, index in enumerate(members):
            x = MARGIN + column * (_TILE + _GAP) + inset
            true = names[evaluation.labels[index]]
            predicted = names[evaluation.predictions[index]]
            write(page, x, y + _TILE + 13, true, _TILE + 12, color=BLUE, size=SMALL)
            write(page, x, y + _TILE + 29, predicted, _TILE + 12, color=VERMILION, size=SMALL)
            write(
                page,
                x,
                y + _TILE + 45,
                percent(float(confidence[index])),
                color=VERMILION,
                size=SMALL,
            )
    return figure
