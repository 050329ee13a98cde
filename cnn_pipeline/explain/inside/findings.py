"""Findings about a network as plain arrays, for figures and sentences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ExcitingPatches:
    """For each filter of a layer, the images that excite it most, and where."""

    layer: str
    field: int
    """Width in pixels of the square that one activation of the filter sees."""
    strengths: Floats
    """`[filters, top]`: the activations after ReLU, strongest first."""
    images: Ints
    """`[filters, top]`: positions in the images that were searched."""
    corners: Ints
    """`[filters, top, 2]`: row and column of each square's top left pixel; may be outside."""
    patches: Pixels
    """`[filters, top, field, field, channels]`: the squares; black outside the image."""
    favourites: Ints
    """`[filters]`: the class whose images excite the filter most on average; -1 if it is dead."""

    @property
    def dead(self) -> Ints:
        """Filters that no image excites."""
        return np.flatnonzero(self.strengths[:, 0] <= 0)


@dataclass(frozen=True, eq=False)
class LayerAblation:
    """The accuracy with one filter at a time switched off."""

    layer: str
    accuracy: float
    """With all filters, on the same images."""
    accuracies: Floats
    """`[filters]`: without that filter."""
    margins: Floats
    """`[filters]`: half widths of the intervals of `changes`, 95% for all filters together."""
    hurt: Ints
    """`[filters]`: the class that loses most recall; -1 if none loses any."""
    hurt_by: Floats
    """`[filters]`: how much recall that class loses, 0 to 1."""
    images: int
    """Number of images scored."""

    @property
    def changes(self) -> Floats:
        """`[filters]`: accuracy without the filter minus accuracy with it; negative is a loss."""
        return self.accuracies - self.accuracy

    @property
    def order(self) -> Ints:
        """Filters, largest loss first."""
        return np.argsort(self.changes, kind="stable")

    @property
    def needed(self) -> Ints:
        """Filters whose loss is significant, largest loss first."""
        return np.asarray([k for k in self.order if self.changes[k] + self.margins[k] < 0], int)


@dataclass(frozen=True, eq=False)
class Look:
    """Where a network looks in one image: how its answer changes when a square is covered."""

    image: Pixels
    """`[height, width, channels]`."""
    true: int | None
    """The true class; None if unknown."""
    probabilities: Floats
    """`[classes]`: for the whole image."""
    change: Floats
    """`[rows, columns]`: log-odds of the given class with the square there, minus without it."""
    covered: Floats
    """`[rows, columns, classes]`: the probabilities with the square there."""
    corners: tuple[Ints, Ints]
    """Rows and columns of the squares' top left pixels."""
    size: int
    """Width of the square in pixels."""

    @property
    def given(self) -> int:
        """The predicted class."""
        return int(self.probabilities.argmax())

    @property
    def right(self) -> bool | None:
        """Whether the predicted class is the true one; None if unknown."""
        return None if self.true is None else self.given == self.true

    @property
    def weakest(self) -> tuple[int, int]:
        """Row and column in `change` of the square that lowers the log-odds most."""
        row, column = np.unravel_index(int(self.change.argmin()), self.change.shape)
        return int(row), int(column)

    @property
    def pixels(self) -> Floats:
        """`[height, width]`: the mean change of the squares that cover each pixel."""
        total = np.zeros(self.image.shape[:2])
        count = np.zeros(self.image.shape[:2])
        for row, top in enumerate(self.corners[0]):
            for column, left in enumerate(self.corners[1]):
                square = np.s_[top : top + self.size, left : left + self.size]
                total[square] += self.change[row, column]
                count[square] += 1
        return total / count
