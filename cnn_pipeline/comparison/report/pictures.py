"""Images as data URIs, no larger than they are shown."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_THUMBNAIL = 112
"""Pixels of the longer side of a larger image, which is shown at half this size."""
_SHARP = 48
"""Images of up to this many pixels per side are stored without loss and shown unsmoothed."""


def thumbnail(image: NDArray[np.uint8]) -> str:
    """A data URI of an image uint8 `[height, width, 1 or 3]`."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    small = max(picture.size) <= _SHARP
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    if small:
        return _encoded(picture, "PNG", optimize=True)
    return _encoded(picture, "WEBP", quality=75)


def picture(file: bytes, width: int) -> str:
    """A data URI of a PNG or JPEG file, at most `width` pixels wide."""
    with Image.open(io.BytesIO(file)) as opened:
        shown = opened.convert("RGB")
    if shown.width > width:
        size = (width, round(shown.height * width / shown.width))
        shown = shown.resize(size, Image.Resampling.HAMMING)
    return _encoded(shown, "WEBP", quality=70, method=2)


def _encoded(image: Image.Image, kind: str, **options: int | bool) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
