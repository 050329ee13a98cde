"""Turn arrays of images, as people save them, into uint8 `[n, height, width, 1 or 3]`.

Only what has one meaning is converted, and a note says so. The rest is refused with the line of
Python that makes it plain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.data.arrays import image_faults
from cnn_pipeline.data.formats.array_scale import (
    ImagesError,
    Range,
    common_factors,
    measure,
    pixels,
    said,
)

_FEWEST_PIXELS = 16
"""Of a flat image: shorter rows are measurements, not images."""
_ADVICE = "save images of 0 to 255 as uint8"


@dataclass(frozen=True)
class PixelImages:
    """`images` by name of the array; `notes` and `faults` begin with the name."""

    images: Mapping[str, NDArray[np.uint8]]
    notes: tuple[str, ...]
    faults: tuple[str, ...]


def to_pixels(arrays: Mapping[str, NDArray[np.generic]], counts: Mapping[str, int]) -> PixelImages:
    """Convert the arrays of one data set, whose values must have one scale.

    Args:
        arrays: by name, which the messages use.
        counts: number of labels by the name of their images, as far as it is known. It tells
            arrays apart that have the number of images last.
    """
    notes: list[str] = []
    faults: list[str] = []
    shaped: dict[str, NDArray[np.generic]] = {}
    for name, array in arrays.items():
        try:
            shaped[name], note = _shaped(name, array, counts.get(name))
        except ImagesError as error:
            faults.append(f"{name}: {error}")
            continue
        notes += [f"{name}: {note}"] if note else []
    ranges: dict[str, Range] = {}
    for name, array in shaped.items():
        try:
            ranges[name] = measure(name, array)
        except ImagesError as error:
            faults.append(f"{name}: {error}")
    if faults:
        return PixelImages({}, (), tuple(faults))
    factors, found = common_factors(shaped, ranges)
    faults += found
    if faults:
        return PixelImages({}, (), tuple(faults))
    images = {}
    for name, array in shaped.items():
        images[name] = pixels(array, factors[name])
        note = said(name, array, ranges[name], factors[name])
        notes += [f"{name}: {note}"] if note else []
        faults += image_faults(name, images[name])
    return PixelImages(images, tuple(notes), tuple(faults))


def _shaped(
    name: str, array: NDArray[np.generic], labels: int | None
) -> tuple[NDArray[np.generic], str]:
    """`[n, h, w, c]`, and what was done."""
    shape = list(array.shape)
    if array.dtype.kind not in "buif":
        raise ImagesError(
            f"images must be numbers, received {array.dtype} of shape {shape}; {_ADVICE}"
        )
    if 0 in shape or not shape:
        raise ImagesError(
            "images must have shape [n, height, width] or [n, height, width, channels] with at "
            f"least one image, received {shape}"
        )
    if labels is not None and shape[-1] == labels > max(shape[:-1], default=0):
        raise ImagesError(
            f"the number of images must stand first, received {shape} for {labels:,} labels; use "
            f"{name} = np.moveaxis({name}, -1, 0)"
        )
    if array.ndim == 2:
        return _from_rows(name, array)
    if array.ndim == 3:
        return array[..., np.newaxis], ""
    if array.ndim == 4 and shape[3] not in (1, 3) and shape[1] in (1, 3):
        moved = np.moveaxis(array, 1, -1)
        return moved, f"channels stood first, {shape}, and were moved to the end"
    if array.ndim == 4 and shape[3] in (2, 4):
        raise ImagesError(
            f"images must have 1 or 3 channels, received {shape[3]}; without the transparency, use "
            f"{name} = {name}[..., :{shape[3] - 1}]"
        )
    if array.ndim == 4 and shape[3] in (1, 3):
        return array, ""
    raise ImagesError(
        "images must have shape [n, height, width], or [n, height, width, 1 or 3] with n, height "
        f"and width of at least 1, received {shape}; use {name} = {name}.reshape(-1, height, "
        "width), or take one of the axes out"
    )


def _from_rows(name: str, array: NDArray[np.generic]) -> tuple[NDArray[np.generic], str]:
    count, pixels = array.shape
    side = math.isqrt(pixels)
    if side * side == pixels >= _FEWEST_PIXELS:
        squares = array.reshape(count, side, side, 1)
        return squares, f"rows of {pixels:,} values became images of {side}x{side}"
    side = math.isqrt(pixels // 3)
    if 3 * side * side == pixels >= _FEWEST_PIXELS:
        raise ImagesError(
            f"rows of {pixels:,} values may be {side}x{side} RGB images in two orders; use "
            f"{name} = {name}.reshape(-1, 3, {side}, {side}) where the values of one colour stand "
            f"together, or {name} = {name}.reshape(-1, {side}, {side}, 3) where those of one pixel"
        )
    raise ImagesError(
        "images must have shape [n, height, width], or [n, height, width, 1 or 3], received "
        f"{list(array.shape)}, and {pixels:,} values are no square; use "
        f"{name} = {name}.reshape(-1, height, width) where height * width is {pixels:,}"
    )
