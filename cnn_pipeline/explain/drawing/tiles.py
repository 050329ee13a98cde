"""Many small images in one array, drawn at once instead of on one set of axes each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from PIL import Image

from cnn_pipeline.explain.drawing.page import DENSITY

RGB = npt.NDArray[np.uint8]


def colour(
    values: np.ndarray, colormap: str, low: np.ndarray | float, high: np.ndarray | float
) -> RGB:
    """`values` as uint8 `[..., 3]`: a colour map from `low` to `high`, which broadcast.

    NaN and -inf get the lowest colour, and so do all values if `low` equals `high`.
    """
    extent: np.ndarray = np.subtract(high, low)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(extent > 0, (values - low) / extent, 0.0)
    share = np.nan_to_num(share, nan=0.0, posinf=1.0, neginf=0.0)
    rgba = colormaps[colormap](share.clip(0.0, 1.0), bytes=True)
    return np.asarray(rgba[..., :3], dtype=np.uint8)


def as_rgb(images: np.ndarray) -> RGB:
    """Grey or RGB images uint8 `[..., h, w, 1 or 3]` as uint8 `[..., h, w, 3]`."""
    return np.broadcast_to(images, (*images.shape[:-1], 3)).astype(np.uint8)


def fit(image: RGB, size: int) -> RGB:
    """Scale `image` to fit a square of `size` pixels: proportions kept, pixels sharp."""
    height, width = image.shape[:2]
    scale = size / max(height, width)
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Enlarge without smoothing, so that a map's pixels can be seen and counted.
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    return np.asarray(Image.fromarray(image).resize(target, how))


def tile(images: Sequence[RGB], size: int, columns: int, gap: int = 2) -> RGB:
    """Lay out images in rows of `columns`, each in a square of `size` page pixels, on white."""
    size, gap = round(size * DENSITY), round(gap * DENSITY)
    rows = -(-len(images) // columns)
    step = size + gap
    sheet = np.full((rows * step - gap, columns * step - gap, 3), 255, dtype=np.uint8)
    for i, image in enumerate(images):
        cell = fit(image, size)
        y = i // columns * step + (size - cell.shape[0]) // 2
        x = i % columns * step + (size - cell.shape[1]) // 2
        sheet[y : y + cell.shape[0], x : x + cell.shape[1]] = cell
    return sheet
