"""Random changes of the training images, in the training graph: flips, shifts and erased squares.

`Augmentation` is the first layer of the training twin, so every engine runs it, and the logged
model does not have it. The state of its generator is set at the start of each epoch from (seed,
epoch), as that of dropout is, and is part of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

# Zhong, Kang, Cao and Gong 2020, 'Random erasing data augmentation' (arXiv 2017), section 4: a
# rectangle of 2 to 40 % of the image and of a ratio of 0.3 to 1 / 0.3, in half of the images.
_ERASED = 0.5
_AREA = (0.02, 0.4)
_RATIO = (0.3, 1 / 0.3)
_MOST_SHIFT = 0.1


class Augmentation(keras.layers.Layer):  # type: ignore[misc]
    """Changes uint8 images `[n, height, width, channels]` in training; else leaves them alone.

    - 'flip': left and right are exchanged in half of the images;
    - 'shift': down and right by whole pixels, each evenly from -10 to +10 % of the side and at
      least by one; the border's pixels are repeated;
    - 'flip+shift': both;
    - 'random-erase': in half of the images a rectangle is filled with random pixels.
    """

    def __init__(self, kind: str, *, seed: int) -> None:
        """`kind` is an `AugmentationKind` of `settings.trial`, but not 'none'."""
        super().__init__(name="augmentation", dtype="uint8", trainable=False)
        self._steps = [_STEPS[step] for step in kind.split("+")]
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The changed images, uint8 of the same shape."""
        if training:
            for step in self._steps:
                inputs = step(inputs, self.seed_generator)
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """That of the input."""
        return input_shape


def _flipped(images: Any, seed: Any) -> Any:
    chosen = _uniform(images, seed) < 0.5
    return ops.where(chosen, ops.flip(images, axis=2), images)


def _shifted(images: Any, seed: Any) -> Any:
    for axis in (1, 2):
        size = images.shape[axis]
        most = max(1, int(size * _MOST_SHIFT))
        by = ops.floor(_uniform(images, seed) * (2 * most + 1)) - most
        shape = (1, -1, 1, 1) if axis == 1 else (1, 1, -1, 1)
        places = ops.reshape(ops.arange(size, dtype="int32"), shape) - ops.cast(by, "int32")
        places = ops.clip(places, 0, size - 1)
        images = ops.take_along_axis(images, places, axis=axis)
    return images


def _erased(images: Any, seed: Any) -> Any:
    height, width = images.shape[1:3]
    area = _between(_uniform(images, seed), *_AREA) * (height * width)
    ratio = _between(_uniform(images, seed), *_RATIO)
    # The paper draws again where a rectangle does not fit; here it is cut to the image.
    tall = ops.minimum(ops.round(ops.sqrt(area * ratio)), height)
    wide = ops.minimum(ops.round(ops.sqrt(area / ratio)), width)
    top = ops.floor(_uniform(images, seed) * (height - tall + 1))
    left = ops.floor(_uniform(images, seed) * (width - wide + 1))
    rows = ops.reshape(ops.arange(height, dtype="float32"), (1, -1, 1, 1))
    columns = ops.reshape(ops.arange(width, dtype="float32"), (1, 1, -1, 1))
    inside = (rows >= top) & (rows < top + tall) & (columns >= left) & (columns < left + wide)
    inside = inside & (_uniform(images, seed) < _ERASED)
    noise = keras.random.uniform(ops.shape(images), 0, 256, dtype="float32", seed=seed)
    return ops.where(inside, ops.cast(ops.floor(noise), "uint8"), images)


_STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "flip": _flipped,
    "shift": _shifted,
    "random-erase": _erased,
}


def _uniform(images: Any, seed: Any) -> Any:
    """A number from 0 to before 1 for each image, float32 `[n, 1, 1, 1]`."""
    return keras.random.uniform((ops.shape(images)[0], 1, 1, 1), dtype="float32", seed=seed)


def _between(share: Any, low: float, high: float) -> Any:
    return low + share * (high - low)
