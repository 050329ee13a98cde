"""The compiled convolutions as operations of TensorFlow's, with their gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cnn_pipeline.compiled import one_channel, winograd

# TensorFlow copies an array that does not begin at a multiple of it.
_ALIGNMENT = 64
# What is computed forward: outputs, and the places of pooled ones.
_RESULTS = (tf.float32, tf.uint8)


def on_processor() -> bool:
    """Whether TensorFlow computes on a processor only: on a GPU, its own convolutions are fast."""
    return not tf.config.list_physical_devices("GPU")


def convolve(
    images: tf.Tensor,
    kernels: tf.Tensor,
    bias: tf.Tensor,
    *,
    rectified: bool,
    pooled: bool,
    name: str,
) -> tf.Tensor:
    """3x3 convolution without padding, with bias; 2x2 max-pooling and ReLU where asked for.

    All float32: images `[n, h, w, c]`, kernels `[3, 3, c, f]`, bias `[f]`, of sizes that pass
    `winograd.fits`; returns `[n, h - 2, w - 2, f]`, pooled `[n, (h - 2) // 2, (w - 2) // 2, f]`.
    `name` is that of the operations in a graph.
    """
    shape = _shape(images, kernels, pooled)

    def forward(images: Any, kernels: Any, bias: Any) -> list[Any]:
        out, places = _results(len(images), shape, pooled)
        winograd.forward(images, kernels, bias, _floor(rectified), pooled, out, places)
        return [out, places]

    def backward(
        images: Any, kernels: Any, outputs: Any, places: Any, upstream: Any
    ) -> tuple[Any, ...]:
        out = _empty(images.shape, np.float32)
        return out, *winograd.backward(
            images, kernels, outputs, places, upstream, rectified, pooled, out
        )

    def operation(images: tf.Tensor, kernels: tf.Tensor, bias: tf.Tensor) -> Any:
        results = _call(
            forward, [images, kernels, bias], [shape, None], f"{name}_forward", _RESULTS
        )

        def gradients(upstream: tf.Tensor) -> list[tf.Tensor]:
            return _call(
                backward,
                [images, kernels, *results, upstream],
                [images.shape, kernels.shape, bias.shape],
                f"{name}_gradients",
            )

        return results[0], gradients

    return _differentiable(operation, images, kernels, bias)


def convolve_one_channel(
    images: tf.Tensor,
    kernels: tf.Tensor,
    bias: tf.Tensor,
    *,
    rectified: bool,
    pooled: bool,
    name: str,
) -> tf.Tensor:
    """As `convolve`, for images of one channel, which get no gradient."""
    shape = _shape(images, kernels, pooled)

    def forward(images: Any, kernels: Any, bias: Any) -> list[Any]:
        out, places = _results(len(images), shape, pooled)
        if pooled:
            one_channel.forward_pooled(images, kernels, bias, _floor(rectified), out, places)
        else:
            one_channel.forward(images, kernels, bias, _floor(rectified), out)
        return [out, places]

    def backward(
        images: Any, kernels: Any, outputs: Any, places: Any, upstream: Any
    ) -> tuple[Any, ...]:
        if pooled:
            return one_channel.backward_pooled(
                images, kernels, outputs, places, upstream, rectified
            )
        return one_channel.backward(images, kernels, outputs, upstream, rectified)

    def operation(images: tf.Tensor, kernels: tf.Tensor, bias: tf.Tensor) -> Any:
        results = _call(
            forward, [images, kernels, bias], [shape, None], f"{name}_forward", _RESULTS
        )

        def gradients(upstream: tf.Tensor) -> list[tf.Tensor | None]:
            inputs, shapes = [images, kernels, *results, upstream], [kernels.shape, bias.shape]
            return [None, *_call(backward, inputs, shapes, f"{name}_gradients")]

        return results[0], gradients

    return _differentiable(operation, images, kernels, bias)


def load() -> None:
    """Have each function compiled, or read from disk, before anybody waits for it."""
    floor = np.float32(0)
    images, kernels = np.zeros((1, 4, 4, 1), np.float32), np.zeros((3, 3, 1, 1), np.float32)
    bias, outputs = np.zeros(1, np.float32), np.zeros((1, 2, 2, 1), np.float32)
    pooled, places = np.zeros((1, 1, 1, 1), np.float32), np.zeros((1, 1, 1, 1), np.uint8)
    winograd.forward(images, kernels, bias, floor, True, pooled, places)
    winograd.backward(images, kernels, pooled, places, pooled, True, True, images.copy())
    one_channel.forward(images, kernels, bias, floor, outputs)
    one_channel.backward(images, kernels, outputs, outputs, True)
    one_channel.forward_pooled(images, kernels, bias, floor, pooled, places)
    one_channel.backward_pooled(images, kernels, pooled, places, pooled, True)


def _shape(images: tf.Tensor, kernels: tf.Tensor, pooled: bool) -> tuple[int | None, int, int, int]:
    """Of the outputs; the number of images may not be known."""
    number, height, width, _ = images.shape
    size = 2 if pooled else 1
    return number, (height - 2) // size, (width - 2) // size, kernels.shape[3]


def _results(
    number: int, shape: tuple[int | None, int, int, int], pooled: bool
) -> list[NDArray[Any]]:
    """Room for outputs, and for their places if they are pooled."""
    sizes = (number, *shape[1:])
    return [_empty(sizes, np.float32), _empty(sizes if pooled else (0,) * 4, np.uint8)]


def _differentiable(operation: Callable[..., Any], *inputs: Any) -> tf.Tensor:
    """Call it on values: of a variable it would have to return the gradient in another way."""
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
    outputs = outputs if isinstance(outputs, list) else [outputs]  # one, and not in a graph
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
