"""The scale of pixels: shares of 1, 0 to 16, 0 to 255, or none that can be told from the values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WHITE = 255
_DIGITS = 16
"""White in the digits of UCI and scikit-learn."""
_LEAST_WHITE = 128
"""Images of 0 to 255 have a pixel this bright; other ranges of whole numbers may be darker."""
_CHUNK = 1 << 20


class ImagesError(ValueError):
    """The array has no one meaning as images; the message says what to do."""


@dataclass(frozen=True)
class Range:
    """Least and largest value, and whether all values are whole."""

    low: float
    high: float
    whole: bool

    def __or__(self, other: Range) -> Range:
        return Range(
            min(self.low, other.low), max(self.high, other.high), self.whole and other.whole
        )

    def __str__(self) -> str:
        return f"{'whole numbers' if self.whole else 'values'} from {self.low:g} to {self.high:g}"


def _text(array: NDArray[np.generic], values: Range) -> str:
    """'float64, values from 0 to 0.5'."""
    return f"{array.dtype.name}, {values}"


def measure(name: str, array: NDArray[np.generic]) -> Range:
    """The range of an array that is not empty.

    Raises:
        ImagesError: a value is not finite.
    """
    if array.dtype.kind in "bu" and array.dtype.itemsize == 1:
        return Range(int(array.min()), int(array.max()), whole=True)
    low, high, whole = math.inf, -math.inf, True
    for chunk in _chunks(array):
        low, high = min(low, float(chunk.min())), max(high, float(chunk.max()))
        if not (math.isfinite(low) and math.isfinite(high)) or np.isnan(chunk).any():
            raise ImagesError(
                "pixels must be finite, received NaN or infinity; use "
                f"{name} = np.nan_to_num({name}, posinf=0, neginf=0)"
            )
        whole = whole and (array.dtype.kind != "f" or bool((chunk == np.floor(chunk)).all()))
    return Range(low, high, whole)


def common_factors(
    arrays: Mapping[str, NDArray[np.generic]], ranges: Mapping[str, Range]
) -> tuple[dict[str, float], list[str]]:
    """By what each array is multiplied, and why they have no common scale.

    Arrays of uint8 are 0 to 255 as they are. The others are judged together: test images may be
    darker than training images.
    """
    plain = [name for name, array in arrays.items() if array.dtype == np.uint8]
    flags = [name for name, array in arrays.items() if array.dtype == np.bool_]
    others = [name for name in arrays if name not in (*plain, *flags)]
    factors = dict.fromkeys(plain, 1.0) | dict.fromkeys(flags, float(_WHITE))
    if not others:
        return factors, []
    joint = ranges[others[0]]
    for name in others[1:]:
        joint |= ranges[name]
    scale = _factor(joint)
    if scale is None:
        return factors, [f"{name}: {_remedy(name, joint, arrays[name])}" for name in others]
    factors |= dict.fromkeys(others, scale)
    faults = []
    for name in others:
        darker = scale != _WHITE and 0 < ranges[name].high <= 1
        if darker or (plain and scale != 1):
            other = plain[0] if plain else max(others, key=lambda other: ranges[other].high)
            white = 1 if ranges[name].high <= 1 else _DIGITS
            faults.append(
                f"{name}: pixels must have the scale of {other}, {ranges[other]}, received "
                f"{_text(arrays[name], ranges[name])}; use {_brighter(name, white)}"
            )
    return factors, faults


def _factor(values: Range) -> float | None:
    """What makes pixels of 0 to 255 of these values; None where that is a guess."""
    if values.low < 0:
        return None
    if values.high == 0 or 1 / _WHITE < values.high <= 1:
        return _WHITE
    if values.whole and values.high == _DIGITS:
        return _WHITE / _DIGITS
    return 1 if _LEAST_WHITE <= values.high <= _WHITE else None


def _brighter(name: str, white: float) -> str:
    """The line that makes 255 of `white`."""
    factor = "255" if white == 1 else f"(255 / {white:g})"
    return f"{name} = ({name} * {factor}).round().astype('uint8')"


def _remedy(name: str, values: Range, array: NDArray[np.generic]) -> str:
    """The fault of values that have no one scale, with the line for the usual reason."""
    received = f"pixels must be 0 to 255, received {_text(array, values)}"
    if values.low < 0 and values.low >= -1 and values.high <= 1:
        half = 0.5 if values.low >= -0.5 and values.high <= 0.5 else 1
        return (
            f"{received}; where black is {-half:g} and white {half:g}, use "
            f"{name} = (({name} + {half:g}) * {255 / (2 * half):g}).round().astype('uint8')"
        )
    if values.low < 0:
        return (
            f"{received}; save the images as they were before they were standardised, or use "
            f"{name} = ({name} * std + mean).round().clip(0, 255).astype('uint8')"
        )
    if values.high <= 1 / _WHITE:
        return (
            f"{received}; if they were divided by 255 twice, use "
            f"{name} = ({name} * 255 * 255).round().astype('uint8')"
        )
    if values.high <= _WHITE:
        return (
            f"{received}; where white is 255, use {name} = {name}.round().astype('uint8'), and "
            f"where white is {values.high:g}, use {_brighter(name, values.high)}"
        )
    bits = math.frexp(values.high)[1]  # 12 for 4,000, and white is 4,095 then
    white = 2**16 - 1 if 14 < bits <= 16 else 2**bits - 1 if bits <= 14 else values.high
    return f"{received}; where white is {white:g}, use {_brighter(name, white)}"


def said(name: str, array: NDArray[np.generic], values: Range, factor: float) -> str:
    """What was done to the values, in a sentence; empty if nothing was."""
    if array.dtype == np.uint8:
        if 1 <= values.high <= _DIGITS:
            return (
                f"no pixel is brighter than {values.high:g} of 255; where that is white, use "
                f"{_brighter(name, values.high)}"
            )
        return ""
    if array.dtype == np.bool_:
        return "False and True became the pixels 0 and 255"
    if factor == _WHITE:
        return f"{array.dtype.name} of 0 to 1 became pixels of 0 to 255"
    if factor == 1:
        rounded = "" if values.whole else ", rounded"
        return f"{array.dtype.name} of 0 to 255 became uint8{rounded}"
    return f"{array.dtype.name} of 0 to {_DIGITS} became pixels of 0 to 255"


def pixels(array: NDArray[np.generic], factor: float) -> NDArray[np.uint8]:
    """The array times `factor`, rounded to uint8. Arrays of uint8 stay as they are."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array, dtype=np.uint8)
    images = np.empty(array.shape, dtype=np.uint8)
    for chunk, part in zip(_chunks(array), _chunks(images), strict=True):
        part[...] = np.rint(chunk.astype(np.float64) * factor).astype(np.uint8)
    return images


def _chunks(array: NDArray[np.generic]) -> Iterator[NDArray[np.generic]]:
    """Views of some images each, so that little memory is taken beside the array."""
    step = max(1, _CHUNK // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), step):
        yield array[start : start + step]
