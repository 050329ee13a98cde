"""Where a network looks: cover a square of the image and predict again.

See Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2.
It needs only predictions, so it works with any model and any backend of Keras.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnn_pipeline.explain.inside.findings import Floats, Ints, Look
from cnn_pipeline.explain.inside.layers import batches

SIZE = 1 / 4
"""Width of the square, as a share of the image's shorter side."""
STEP = 1 / 14
"""Distance between two squares, as a share of the image's side."""
_CERTAIN = 1e-7  # about the distance from 1 to the next smaller float32


def look(
    predict: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    fill: np.ndarray,
    true: int | None = None,
) -> Look:
    """Cover one square of the image after another and see how the prediction changes.

    Args:
        predict: uint8 `[b, h, w, c]` to probabilities `[b, classes]`.
        image: uint8 `[h, w, c]`.
        fill: uint8 `[c]`, the colour of the square.
        true: the true class, if known.
    """
    height, width, _ = image.shape
    size = max(1, round(SIZE * min(height, width)))
    rows, columns = _starts(height, size), _starts(width, size)
    covered = np.repeat(image[np.newaxis], len(rows) * len(columns), axis=0)
    for number, (top, left) in enumerate((top, left) for top in rows for left in columns):
        covered[number, top : top + size, left : left + size] = fill
    whole = np.asarray(predict(image[np.newaxis])[0], np.float64)
    answers = np.concatenate([np.asarray(predict(batch), np.float64) for batch in batches(covered)])
    given = int(whole.argmax())
    change = log_odds(answers[:, given]) - log_odds(whole[given])
    return Look(
        image=image,
        true=true,
        probabilities=whole,
        change=change.reshape(len(rows), len(columns)),
        covered=answers.reshape(len(rows), len(columns), -1),
        corners=(rows, columns),
        size=size,
    )


def log_odds(probability: np.ndarray | float) -> Floats:
    """The natural logarithm of p / (1 - p), where differences near 0 and 1 stay visible."""
    bounded = np.clip(np.asarray(probability, np.float64), _CERTAIN, 1 - _CERTAIN)
    return np.asarray(np.log(bounded) - np.log1p(-bounded))


def _starts(length: int, size: int) -> Ints:
    """First pixels of the squares along one side; the last square ends at the border."""
    step = max(1, round(STEP * length))
    return np.unique([*range(0, length - size, step), length - size])
