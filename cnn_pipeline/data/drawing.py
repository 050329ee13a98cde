"""Light on dark or dark on light: how a grey picture is drawn, and how a data set's are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cnn_pipeline.data.preparation import Drawing
from cnn_pipeline.data.rows import Images

_SAMPLED = 2000
"""Training images that are measured."""
_SHARE = 0.99
"""Share of them that must agree: at most 1 % of pictures like them would be inverted wrongly."""
_EVEN = 51
"""Most shades of 255 between the corners of a picture whose background is even."""


def background_of(pixels: np.ndarray) -> npt.NDArray[np.uint8]:
    """Background colour, uint8 `[channels]`: the median of the four corners.

    A corner is a patch of a 28th of the shorter side. Objects often touch the middle of an edge:
    corners are right for all of Fashion-MNIST's 70,000 images, the whole border is wrong for two.

    Args:
        pixels: uint8 `[h, w]` or `[h, w, channels]`.
    """
    corners = _corners(pixels.reshape(1, *pixels.shape[:2], -1))[0]
    return np.asarray(np.median(corners.reshape(-1, corners.shape[-1]), axis=0), dtype=np.uint8)


def darker_than_background(pixels: npt.NDArray[np.uint8]) -> bool:
    """Whether the object of a grey picture, uint8 `[h, w]`, is darker than its background.

    A bright background is not enough: a white shirt on light grey needs no inversion.
    """
    return bool(_darker(pixels[np.newaxis], np.array([background_of(pixels)[0]]))[0])


def drawing_of(pixels: npt.NDArray[np.uint8]) -> Drawing:
    """How a grey picture, uint8 `[h, w]`, is drawn; 'mixed' if its background is not even."""
    corners = np.median(_corners(pixels[np.newaxis, ..., np.newaxis])[0], axis=(1, 2))
    if corners.max() - corners.min() > _EVEN:
        return "mixed"
    light, dark = _drawn(pixels[np.newaxis])
    return "light-on-dark" if light[0] else "dark-on-light" if dark[0] else "mixed"


def measured_drawing(images: Images) -> Drawing:
    """How the images of a data set are drawn; 'mixed' unless 99 % of them are drawn alike.

    Args:
        images: uint8 `[n, h, w, channels]`; colour is always 'mixed'.
    """
    if images.shape[-1] != 1:
        return "mixed"
    sample = images[:: -(-len(images) // _SAMPLED)][..., 0]
    light, dark = (float(np.mean(share)) for share in _drawn(sample))
    return "light-on-dark" if light >= _SHARE else "dark-on-light" if dark >= _SHARE else "mixed"


def _drawn(images: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """For images `[n, h, w]`, bool `[n]` each: light on dark, and dark on light."""
    corners = _corners(images[..., np.newaxis])
    background = np.median(corners.reshape(len(images), -1), axis=1).astype(np.uint8)
    darker = _darker(images, background)
    dark_background = background < 128
    return dark_background & ~darker, ~dark_background & darker


def _darker(
    images: npt.NDArray[np.uint8], background: npt.NDArray[np.uint8]
) -> npt.NDArray[np.bool_]:
    """For images `[n, h, w]` and their backgrounds `[n]`: whether what is on them is darker."""
    difference = images.astype(np.int16) - background.astype(np.int16)[:, np.newaxis, np.newaxis]
    darker = -difference.clip(max=0).sum(axis=(1, 2), dtype=np.int64)
    lighter = difference.clip(min=0).sum(axis=(1, 2), dtype=np.int64)
    return np.asarray(darker > lighter)


def _corners(images: np.ndarray) -> np.ndarray:
    """Patches of images `[n, h, w, channels]`: `[n, 4, pixels, channels]`."""
    side = max(1, min(images.shape[1:3]) // 28)
    ends = (slice(0, side), slice(-side, None))
    patches = [images[:, rows, columns] for rows in ends for columns in ends]
    return np.stack([patch.reshape(len(images), side * side, -1) for patch in patches], axis=1)
