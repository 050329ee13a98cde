"""Images in a file that is mapped into memory, which may be larger than the memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 24  # bytes


class Rows:
    """Some images of an array that is never copied as a whole, uint8 `[n, h, w, c]`.

    Indexed along the first axis like an array, and what comes out are arrays. The array lies in a
    mapped file: the kernel reads the pages that are asked for, and drops them when memory is short.
    """

    def __init__(
        self, images: NDArray[np.uint8], positions: NDArray[np.int64] | None = None
    ) -> None:
        self._images = images
        self._positions = np.arange(len(images)) if positions is None else positions
        self.shape = (len(self._positions), *images.shape[1:])
        self.dtype = images.dtype

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[at] for at in range(len(self)))

    def __getitem__(self, at: Any) -> NDArray[np.uint8]:
        return np.asarray(self._images[self._positions[at]])

    def take(self, positions: NDArray[np.int64]) -> Rows:
        """Those at `positions` among these."""
        return Rows(self._images, self._positions[positions])


Images = NDArray[np.uint8] | Rows


def take(images: Images, positions: NDArray[np.int64]) -> Images:
    """The images at `positions`: of an array a copy."""
    return images.take(positions) if isinstance(images, Rows) else images[positions]


def blocks(array: NDArray[np.generic] | Rows) -> Iterator[NDArray[Any]]:
    """All of an array in order, some MB at a time, each block contiguous."""
    size = max(1, _BLOCK // max(1, array[:1].nbytes))
    for start in range(0, len(array), size):
        yield np.ascontiguousarray(array[start : start + size])
