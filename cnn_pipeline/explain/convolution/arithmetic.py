"""Convolution, ReLU and max-pooling in plain NumPy, written as one would say them aloud.

Slow on purpose: one step for one pixel, so that each number can be looked at. Tests show the
results equal to those of Keras' layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnn_pipeline.base.errors import InvalidInput

Map = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ConvolutionStep:
    """One pixel's turn: its neighbours, the filter, and what becomes of them."""

    row: int
    column: int
    """The pixel, counted from 0: the centre of the window."""
    window: Map
    """`[size, size]`: the pixel with its neighbours."""
    kernel: Map
    """`[size, size]`: the filter's weights."""

    @property
    def products(self) -> Map:
        """`[size, size]`: each neighbour times the weight that lies over it."""
        return self.window * self.kernel

    @property
    def total(self) -> float:
        """The sum of the products."""
        return float(self.products.sum())

    @property
    def output(self) -> float:
        """What is left after ReLU: the sum, or 0 where it is negative."""
        return max(0.0, self.total)


@dataclass(frozen=True, eq=False)
class PoolingStep:
    """One window's turn: of these numbers the largest is kept."""

    row: int
    column: int
    """The result's place in the new map, counted from 0."""
    window: Map
    """`[size, size]`."""

    @property
    def output(self) -> float:
        """The largest."""
        return float(self.window.max())


def convolution_at(image: np.ndarray, kernel: np.ndarray, row: int, column: int) -> ConvolutionStep:
    """The step for the pixel at (row, column) of `image` `[h, w]`.

    kernel: `[size, size]`, its size odd, so that it has a centre.

    Raises:
        InvalidInput: the pixel is so near the border that neighbours are missing.
    """
    _check(image, kernel)
    reach = len(kernel) // 2  # neighbours on each side
    height, width = image.shape
    if not (reach <= row < height - reach and reach <= column < width - reach):
        fault = (
            f"the pixel must have {reach} neighbour{'s' if reach > 1 else ''} on every side: row "
            f"{reach} to {height - reach - 1}, column {reach} to {width - reach - 1}; "
            f"received row {row}, column {column}"
        )
        raise InvalidInput([fault])
    window = image[row - reach : row + reach + 1, column - reach : column + reach + 1]
    return ConvolutionStep(row, column, np.asarray(window, np.float64), np.asarray(kernel, float))


def convolve(image: np.ndarray, kernel: np.ndarray) -> Map:
    """The sums for all pixels of `image` `[h, w]` that have all neighbours, before ReLU.

    With a 3x3 kernel the outermost pixels have none: `[h, w]` becomes `[h - 2, w - 2]`.
    """
    _check(image, kernel)
    reach = len(kernel) // 2
    height, width = image.shape
    return np.array(
        [
            [
                convolution_at(image, kernel, row, column).total
                for column in range(reach, width - reach)
            ]
            for row in range(reach, height - reach)
        ]
    )


def relu(numbers: np.ndarray) -> Map:
    """Negative numbers become 0, the others stay."""
    return np.maximum(np.asarray(numbers, np.float64), 0.0)


def pooling_at(numbers: np.ndarray, row: int, column: int, size: int = 2) -> PoolingStep:
    """The step that makes the number at (row, column) of the pooled map of `numbers` `[h, w]`."""
    top, left = row * size, column * size
    window = numbers[top : top + size, left : left + size]
    return PoolingStep(row, column, np.asarray(window, np.float64))


def max_pool(numbers: np.ndarray, size: int = 2) -> Map:
    """Of each window of `size` x `size` numbers the largest: `[h, w]` becomes `[h/size, w/size]`.

    A last row or column that fills no window is dropped.
    """
    height, width = numbers.shape
    return np.array(
        [
            [pooling_at(numbers, row, column, size).output for column in range(width // size)]
            for row in range(height // size)
        ]
    )


def strongest(numbers: np.ndarray) -> tuple[int, int]:
    """Row and column of the largest number, the first of equals."""
    row, column = np.unravel_index(int(np.argmax(numbers)), numbers.shape)
    return int(row), int(column)


def telling_window(numbers: np.ndarray, size: int = 2) -> tuple[int, int]:
    """Row and column of the pooled map whose window shows best what pooling does.

    The window with the most different numbers; of those the one with the largest spread.
    """
    height, width = numbers.shape[0] // size, numbers.shape[1] // size

    def worth(place: tuple[int, int]) -> tuple[int, float]:
        window = pooling_at(numbers, *place, size).window
        return len(np.unique(window)), float(np.ptp(window))

    return max(((row, column) for row in range(height) for column in range(width)), key=worth)


def _check(image: np.ndarray, kernel: np.ndarray) -> None:
    faults = []
    square = kernel.ndim == 2 and kernel.shape[0] == kernel.shape[1]
    if not square or kernel.shape[0] % 2 == 0:
        faults.append(
            "the kernel must be square with an odd size such as 3x3, "
            f"received shape {list(kernel.shape)}"
        )
    if image.ndim != 2:
        faults.append(
            "the image must be one map [height, width], as image[..., 0] is of a grey one; "
            f"received shape {list(image.shape)}"
        )
    elif not faults and min(image.shape) < len(kernel):
        faults.append(
            f"the image must be at least as large as the kernel, received {list(image.shape)} "
            f"and {list(kernel.shape)}"
        )
    if faults:
        raise InvalidInput(faults)
