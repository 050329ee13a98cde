"""The compiled convolutions as TensorFlow operations with gradients: the door of this package."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cnn_pipeline.network.compiled import compiling, one_channel, winograd

# With fewer channels or filters, the transforms cost what the products save.
LEAST_CHANNELS = 16
# TensorFlow copies arrays that do not start at a multiple of this.
_ALIGNMENT = 64


def on_processor() -> bool:
    """Whether TensorFlow has no GPU, on which its own convolutions are fast."""
    return not tf.config.list_physical_devices("GPU")


def convolution_for(
    width: int, channels: int, filters: int, *, inputs_are_data: bool
) -> Callable[..., tf.Tensor] | None:
    """The compiled 3x3 convolution of padded images of this width; None if there is none, or none
    faster than TensorFlow's. With `inputs_are_data` the inputs need no gradient.
    """
    if not on_processor():
        return None
    if channels == 1 and inputs_are_data:
        return convolve_one_channel if filters <= one_channel.MOST_FILTERS else None
    enough = min(channels, filters) >= LEAST_CHANNELS
    return convolve if enough and winograd.fits(width, channels, filters) else None


def convolve(
    images: tf.Tensor,
    kernels: tf.Tensor,
    bias: tf.Tensor,
    *,
    rectified: bool,
    pooled: bool,
    name: str,
) -> tf.Tensor:
    """3x3 convolution without padding, with bias and optional 2x2 max-pooling and ReLU.

    All float32: images `[n, h, w, c]`, kernels `[3, 3, c, f]`, bias `[f]`. Sizes must pass
    `winograd.fits`. Returns `[n, h - 2, w - 2, f]`, or pooled `[n, (h - 2) // 2, (w - 2) // 2, f]`.
    `name` is the name of the operations in a graph.
    """

    def forward(images: Any, kernels: Any, bias: Any, out: Any, places: Any) -> None:
        winograd.forward(images, kernels, bias, _floor(rectified), pooled, out, places)

    def backward(
        images: Any, kernels: Any, outputs: Any, places: Any, upstream: Any
    ) -> tuple[Any, ...]:
        out = _empty(images.shape, np.float32)
        return out, *winograd.backward(
            images, kernels, outputs, places, upstream, rectified, pooled, out
        )

    return _operation(forward, backward, [images, kernels, bias], pooled, name)


def convolve_one_channel(
    images: tf.Tensor,
    kernels: tf.Tensor,
    bias: tf.Tensor,
    *,
    rectified: bool,
    pooled: bool,
    name: str,
) -> tf.Tensor:
    """As `convolve`, for images with one channel and without a gradient of the images."""

    def forward(images: Any, kernels: Any, bias: Any, out: Any, places: Any) -> None:
        if pooled:
            one_channel.forward_pooled(images, kernels, bias, _floor(rectified), out, places)
        else:
            one_channel.forward(images, kernels, bias, _floor(rectified), out)

    def backward(
        images: Any, kernels: Any, outputs: Any, places: Any, upstream: Any
    ) -> tuple[Any, ...]:
        if pooled:
            return one_channel.backward_pooled(
                images, kernels, outputs, places, upstream, rectified
            )
        return one_channel.backward(images, kernels, outputs, upstream, rectified)

    return _operation(forward, backward, [images, kernels, bias], pooled, name, of_images=False)


def load(compiles: Callable[[], None]) -> None:
    """Load every function from the cache; compile what is not there, after a call of `compiles`."""
    floor = np.float32(0)
    images, kernels = np.zeros((1, 4, 4, 1), np.float32), np.zeros((3, 3, 1, 1), np.float32)
    bias, outputs = np.zeros(1, np.float32), np.zeros((1, 2, 2, 1), np.float32)
    pooled, places = np.zeros((1, 1, 1, 1), np.float32), np.zeros((1, 1, 1, 1), np.uint8)
    with compiling(compiles):
        winograd.forward(images, kernels, bias, floor, True, pooled, places)
        winograd.backward(images, kernels, pooled, places, pooled, True, True, images.copy())
        one_channel.forward(images, kernels, bias, floor, outputs)
        one_channel.backward(images, kernels, outputs, outputs, True)
        one_channel.forward_pooled(images, kernels, bias, floor, pooled, places)
        one_channel.backward_pooled(images, kernels, pooled, places, pooled, True)


def _operation(
    forward: Callable[..., None],
    backward: Callable[..., tuple[Any, ...]],
    inputs: list[tf.Tensor],
    pooled: bool,
    name: str,
    of_images: bool = True,
) -> tf.Tensor:
    """Outputs of a convolution of images, kernels and bias, with gradients.

    `forward` writes outputs and the positions of the maxima into its last two arrays. `backward`
    gets images, kernels, these two and the gradient of the outputs, and returns the gradients of
    the images (if `of_images`), kernels and bias.
    """
    images, kernels, _ = inputs
    number, height, width, _ = images.shape  # the number may be None
    size = 2 if pooled else 1
    shape = (number, (height - 2) // size, (width - 2) // size, kernels.shape[3])

    def computed(images: Any, kernels: Any, bias: Any) -> list[Any]:
        sizes = (len(images), *shape[1:])
        out, places = _empty(sizes, np.float32), _empty(sizes if pooled else (0,) * 4, np.uint8)
        forward(images, kernels, bias, out, places)
        return [out, places]

    def operation(images: tf.Tensor, kernels: tf.Tensor, bias: tf.Tensor) -> Any:
        dtypes = [tf.float32, tf.uint8]
        results = _call(computed, [images, kernels, bias], [shape, None], f"{name}_forward", dtypes)

        def gradients(upstream: tf.Tensor) -> list[tf.Tensor | None]:
            shapes = [images.shape] * of_images + [kernels.shape, bias.shape]
            found = _call(
                backward, [images, kernels, *results, upstream], shapes, f"{name}_gradients"
            )
            return [None] * (not of_images) + found

        return results[0], gradients

    return _differentiable(operation, *inputs)


def _differentiable(operation: Callable[..., Any], *inputs: Any) -> tf.Tensor:
    """Call `operation` on tensors: for variables, `custom_gradient` needs another signature."""
    return tf.custom_gradient(operation)(*(tf.convert_to_tensor(each) for each in inputs))


def _call(
    function: Callable[..., Any],
    inputs: list[tf.Tensor],
    shapes: Sequence[Any],
    name: str,
    dtypes: Sequence[Any] | None = None,
) -> list[tf.Tensor]:
    dtypes = dtypes or [tf.float32] * len(shapes)
    outputs = tf.numpy_function(function, inputs, dtypes, stateful=False, name=name)
    outputs = outputs if isinstance(outputs, list) else [outputs]  # a single output outside a graph
    for output, shape in zip(outputs, shapes, strict=True):
        if shape is not None:
            output.set_shape(shape)
    return list(outputs)


def _empty(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    aligned: NDArray[Any] = memory[start : start + size].view(dtype).reshape(shape)
    return aligned


def _floor(rectified: bool) -> np.float32:
    return np.float32(0 if rectified else -np.inf)
