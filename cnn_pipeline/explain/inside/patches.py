"""The images, and the squares in them, that excite each filter most."""

from __future__ import annotations

import keras
import numpy as np

from cnn_pipeline.data.rows import Images
from cnn_pipeline.explain.inside.findings import ExcitingPatches
from cnn_pipeline.explain.inside.layers import Sight, answers_of, batches, sight


def exciting_patches(
    model: keras.Sequential,
    layer: keras.layers.Conv2D,
    images: Images,
    labels: np.ndarray,
    top: int = 5,
) -> ExcitingPatches:
    """For each filter of `layer`, the `top` images with its strongest activations after ReLU.

    images: uint8 `[n, h, w, c]`; labels: int64 `[n]`. An image counts once per filter, at its
    strongest position. With fewer than `top` images all are returned.
    """
    answers = answers_of(model, layer)
    peaks, places = [], []
    for batch in batches(images):
        maps = keras.ops.convert_to_numpy(answers(batch, training=False))
        flat = maps.reshape(len(batch), -1, maps.shape[-1])
        peaks.append(flat.max(axis=1))
        places.append(flat.argmax(axis=1))
    strength, place = np.concatenate(peaks).astype(np.float64), np.concatenate(places)
    chosen = np.argsort(-strength, axis=0, kind="stable")[:top]  # [top, filters]
    rows, columns = np.divmod(np.take_along_axis(place, chosen, axis=0), maps.shape[2])
    seen = sight(model, layer)
    corners = np.stack(
        [seen.start[0] + rows * seen.jump, seen.start[1] + columns * seen.jump], axis=-1
    )
    present = np.unique(labels)
    means = np.stack([strength[labels == k].mean(axis=0) for k in present])
    favourites = np.where(strength.max(axis=0) > 0, present[means.argmax(axis=0)], -1)
    return ExcitingPatches(
        layer=layer.name,
        field=seen.field,
        strengths=np.take_along_axis(strength, chosen, axis=0).T,
        images=chosen.T.astype(np.int64),
        corners=np.moveaxis(corners, 1, 0).astype(np.int64),
        patches=_cut(images, chosen.T, np.moveaxis(corners, 1, 0), seen),
        favourites=favourites.astype(np.int64),
    )


def _cut(images: Images, chosen: np.ndarray, corners: np.ndarray, seen: Sight) -> np.ndarray:
    """The squares; 0 outside the image, as Keras pads."""
    field = seen.field
    patches = np.zeros((*chosen.shape, field, field, images.shape[3]), np.uint8)
    for index in np.ndindex(chosen.shape):
        padded = np.pad(images[chosen[index]], ((field, field), (field, field), (0, 0)))
        top, left = corners[index] + field
        patches[index] = padded[top : top + field, left : left + field]
    return patches
