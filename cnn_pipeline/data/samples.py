"""Which images to show when nobody has chosen any."""

from __future__ import annotations

import numpy as np


def journey_images(labels: np.ndarray, class_names: tuple[str, ...]) -> tuple[int, int, int]:
    """Three test images: two of one class, one of another, as the tutorial chooses them.

    The first class that has two, counted from the end (shoes, in Fashion-MNIST), and the first
    image of any other class.
    """
    for label in reversed(range(len(class_names))):
        same = np.flatnonzero(labels == label)
        other = np.flatnonzero(labels != label)
        if len(same) >= 2 and len(other):
            return int(same[0]), int(same[1]), int(other[0])
    return 0, 0, 0
