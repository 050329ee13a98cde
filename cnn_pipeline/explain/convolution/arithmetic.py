"""Convolution, ReLU and max-pooling in plain NumPy, written to be read.

Slow on purpose: each step handles one pixel, so every number can be inspected. Tests check that
Keras' layers give the same results.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnn_pipeline.base.errors import InvalidInput

Map = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ConvolutionStep:
    """The convolution of one pixel: its neighbours, the filter, and the result."""

    row: int
    column: int
    """Position of the pixel, counted from 0: the centre of the window."""
    window: Map
    """`[size, size]`: the pixel with its neighbours."""
    kernel: Map
    """`[size, size]`: the filter's weights."""

    @property
    def products(self) -> Map:
        """`[size, size]`: each neighbour times the weight at its place."""
        return self.window * self.kernel

    @property
    def total(self) -> float:
        """The sum of the products."""
        return float(self.products.sum())

    @property
    def output(self) -> float:
        """The sum after ReLU: 0 if it is negative."""
        return max(0.0, self.total)


@dataclass(frozen=True, eq=False)
class PoolingStep:
    """The max-pooling of one window: the largest number is kept."""

    row: int
    column: int
    """Position of the result in the pooled map, counted from 0."""
    window: Map
    """`[size, size]`."""

    @property
    def output(self) -> float:
        """The largest number."""
        return float(self.window.max())


def convolution_at(image: np.ndarray, kernel: np.ndarray, row: int, column: int) -> ConvolutionStep:
    """The convolution of the pixel at (row, column) of `image` `[h, w]`.

    kernel: `[size, size]`, `size` odd.

    Raises:
        InvalidInput: the pixel is so near the border that it lacks neighbours.
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
    """The sums before ReLU, for all pixels of `image` `[h, w]` that have all neighbours.

    The outermost pixels lack some: with a 3x3 kernel `[h, w]` becomes `[h - 2, w - 2]`.
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
    """Replace negative numbers with 0."""
    return np.maximum(np.asarray(numbers, np.float64), 0.0)


def pooling_at(numbers: np.ndarray, row: int, column: int, size: int = 2) -> PoolingStep:
    """The pooling step for the number at (row, column) of the pooled map of `numbers` `[h, w]`."""
    top, left = row * size, column * size
    window = numbers[top : top + size, left : left + size]
    return PoolingStep(row, column, np.asarray(window, np.float64))


def max_pool(numbers: np.ndarray, size: int = 2) -> Map:
    """Keep the largest of each `size` x `size` window: `[h, w]` becomes `[h/size, w/size]`.

    Incomplete windows at the end are dropped.
    """
    height, width = numbers.shape
    return np.array(
        [
            [pooling_at(numbers, row, column, size).output for column in range(width // size)]
            for row in range(height // size)
        ]
    )


def strongest(numbers: np.ndarray) -> tuple[int, int]:
    """Row and column of the largest number; the first, if there are several."""
    row, column = np.unravel_index(int(np.argmax(numbers)), numbers.shape)
    return int(row), int(column)


def telling_window(numbers: np.ndarray, size: int = 2) -> tuple[int, int]:
    """Row and column in the pooled map of the window that best shows what pooling does.

    It has the most distinct numbers, and of these windows the largest range.
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
