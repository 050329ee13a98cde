"""Keras' convolution with the gradient of its bias apart from that of its kernels.

Where both gradients come from one tensor, TensorFlow's graph pass for oneDNN computes them as one
primitive, which takes far longer than the two: 7.5 of the 44 ms of a step of the tutorial's
network for the first convolution, where kernels take 2.7 ms and biases 1.2 ms by themselves.
Function and gradient stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


class Conv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """`keras.layers.Conv2D` of channels last: same name, weights, function and gradient."""

    def call(self, inputs: Any) -> Any:
        """Float `[n, height, width, channels]` in, `[n, height, width, filters]` out."""
        outputs = self.convolution_op(inputs, self.kernel)
        if self.use_bias:
            bias = keras.ops.reshape(self.bias, (1, 1, 1, self.filters))
            outputs = keras.ops.custom_gradient(_biased)(outputs, bias)
        return self.activation(outputs)


def _biased(outputs: Any, bias: Any) -> tuple[Any, Callable[..., tuple[Any, Any]]]:
    """The sum of `outputs` `[n, h, w, f]` and `bias` `[1, 1, 1, f]`, and the gradients of both."""

    def gradients(*given: Any, upstream: Any = None) -> tuple[Any, Any]:
        (upstream,) = given or (upstream,)
        rows = keras.ops.reshape(upstream, (-1, upstream.shape[-1]))
        # Of all ways to add up rows, a product with ones is the fastest.
        ones = keras.ops.ones((1, keras.ops.shape(rows)[0]), dtype=rows.dtype)
        return upstream, keras.ops.reshape(keras.ops.matmul(ones, rows), bias.shape)

    return keras.ops.add(outputs, bias), gradients
