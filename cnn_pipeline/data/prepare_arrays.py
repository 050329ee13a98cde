"""Give images that come as arrays the size and the channels that the settings declare."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
from PIL import Image

from cnn_pipeline.data.arrays import Part, Parts
from cnn_pipeline.data.decoding import Steps, with_channels
from cnn_pipeline.data.fitting import fitted
from cnn_pipeline.data.preparation import PADDED, recorded, size_of
from cnn_pipeline.settings.trial import DataSettings


def prepare_arrays(parts: Parts, settings: DataSettings) -> Parts:
    """The parts with images of the declared size and channels, and what pictures to come need.

    Images that have both already stay as they are.
    """
    height, width, channels = parts.train.images.shape[1:]
    size = size_of(settings.image_size) if settings.image_size else (height, width)
    channels = {"auto": channels, "grey": 1, "rgb": 3}[settings.color]
    if (*size, channels) == parts.train.images.shape[1:]:
        return dataclasses.replace(parts, preparation=recorded(settings, ()))
    steps: Counter[str] = Counter()

    def prepared(part: Part | None) -> Part | None:
        if part is None:
            return None
        images = np.empty((len(part.images), *size, channels), dtype=np.uint8)
        for at, image in enumerate(part.images):
            images[at], taken = _one(image, (*size, channels), settings)
            steps.update(taken)
        return dataclasses.replace(part, images=images)

    train, validation, test = map(prepared, (parts.train, parts.validation, parts.test))
    assert train is not None
    count = sum(len(part.images) for part in (train, validation, test) if part)
    notes = [f"{n:,} of {count:,} images: {step}" for step, n in steps.items()]
    return dataclasses.replace(
        parts,
        train=train,
        validation=validation,
        test=test,
        notes=(*parts.notes, *notes),
        preparation=recorded(settings, steps),
    )


def _one(
    pixels: np.ndarray, shape: tuple[int, int, int], settings: DataSettings
) -> tuple[np.ndarray, tuple[str, ...]]:
    """An image of that shape from one of another, uint8 `[h, w, 1 or 3]`; and the steps."""
    steps = Steps()
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    picture = with_channels(picture, shape[2], steps)
    if pixels.shape[:2] == shape[:2]:
        return np.asarray(picture).reshape(shape), tuple(dict.fromkeys(steps.counted))
    background = recorded(settings, [PADDED]).background
    original = (pixels.shape[0], pixels.shape[1])
    resized = fitted(picture, shape[:2], settings.fit, background, original, steps)
    return resized.reshape(shape), tuple(dict.fromkeys(steps.counted))
