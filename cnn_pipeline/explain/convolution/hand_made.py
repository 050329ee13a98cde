"""Filters made by hand, like those that a network learns."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class HandMade:
    """A 3x3 filter, with its name and purpose."""

    name: str
    weights: npt.NDArray[np.float64]
    """`[3, 3]`, for pixels 0..255."""
    finds: str
    """What it responds to, in words."""


def _filter(name: str, rows: list[list[int]], finds: str, divisor: int = 1) -> HandMade:
    weights = np.array(rows, np.float64) / divisor
    weights.flags.writeable = False
    return HandMade(name, weights, finds)


# The first two are Sobel's, the third is the negative Laplacian over all eight neighbours.
HAND_MADE = MappingProxyType(
    {
        made.name: made
        for made in (
            _filter(
                "vertical",
                [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
                "vertical edges, dark on the left and bright on the right",
            ),
            _filter(
                "horizontal",
                [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
                "horizontal edges, dark above and bright below",
            ),
            _filter(
                "edge",
                [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
                "pixels brighter than their neighbours, in any direction",
            ),
            _filter(
                "blur",
                [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
                "nothing; each pixel becomes the mean of the nine",
                divisor=9,
            ),
            _filter(
                "sharpen",
                [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
                "the image itself, with its edges exaggerated",
            ),
        )
    }
)
"""By name; read-only."""
