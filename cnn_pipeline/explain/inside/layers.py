"""Inspect a Keras model: its convolutions, their activations and receptive fields. Keras 3 only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.data.rows import Rows

BATCH = 250
"""Images per batch: few enough for the memory of wide layers."""

_WEIGHTED = (keras.layers.Conv2D, keras.layers.Dense)
_WINDOWED = (keras.layers.Conv2D, keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)


@dataclass(frozen=True)
class Sight:
    """The receptive field: which square of the image one activation of a layer sees."""

    field: int
    """Width of the square in pixels."""
    jump: int
    """Pixels between the squares of two neighbouring activations."""
    start: tuple[int, int]
    """Row and column of the first square's top left pixel; negative with padding."""


def convolutions(model: keras.Sequential) -> tuple[keras.layers.Conv2D, ...]:
    """The convolution layers, first to last.

    Raises:
        InvalidInput: the model has none, or is not a stack of layers.
    """
    layers = getattr(model, "layers", [])
    found = tuple(layer for layer in layers if isinstance(layer, keras.layers.Conv2D))
    if not isinstance(model, keras.Sequential) or not found:
        raise InvalidInput(["explain needs a stack of layers with at least one convolution"])
    return found


def batches(array: np.ndarray | Rows, size: int = BATCH) -> Iterator[np.ndarray]:
    """Yield pieces of `array`, at most `size` long on the first axis."""
    for start in range(0, len(array), size):
        yield array[start : start + size]


def answers_of(model: keras.Sequential, layer: keras.layers.Layer) -> keras.Model:
    """A model from the image to a convolution's answers after its activation, before pooling."""
    return keras.Model(model.inputs[0], _activated(model, layer).output)


def next_weighted(model: keras.Sequential, layer: keras.layers.Layer) -> int:
    """Position in `model.layers` of the first layer with weights after `layer`."""
    position = model.layers.index(layer)
    return next(
        number
        for number, later in enumerate(model.layers)
        if number > position and isinstance(later, _WEIGHTED)
    )


def sight(model: keras.Sequential, layer: keras.layers.Layer) -> Sight:
    """The receptive field of the convolution `layer`.

    See Araujo, Norris and Sim 2019, "Computing Receptive Fields of Convolutional Neural
    Networks", section 2.
    """
    field, jump, start = 1, 1, (0, 0)
    for before in model.layers[: model.layers.index(layer) + 1]:
        if not isinstance(before, _WINDOWED):
            continue
        convolves = isinstance(before, keras.layers.Conv2D)
        window = (before.kernel_size if convolves else before.pool_size)[0]
        stride = before.strides[0]
        if before.padding == "same":
            sizes = before.input.shape[1:3]
            missing = [max((-(-n // stride) - 1) * stride + window - n, 0) for n in sizes]
            start = (start[0] - missing[0] // 2 * jump, start[1] - missing[1] // 2 * jump)
        field += (window - 1) * jump
        jump *= stride
    return Sight(field, jump, start)


def _activated(model: keras.Sequential, layer: keras.layers.Layer) -> keras.layers.Layer:
    """The layer that applies the convolution's activation: itself, or the one that follows."""
    if layer.activation is not keras.activations.linear:
        return layer
    later = model.layers[model.layers.index(layer) + 1 :]
    activations = (keras.layers.ReLU, keras.layers.Activation)
    return next(found for found in later if isinstance(found, activations))
