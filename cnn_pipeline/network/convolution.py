"""The twin's convolution: Keras' function and gradients, by the fastest arithmetic measured.

In float32 on a processor, 3x3 kernels go through `compiled`. All others, and JAX, go through Keras'
operations with one change: TensorFlow's graph pass for oneDNN joins the gradients of kernels and
bias into one primitive that takes far longer than the two, so the bias gets a gradient of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

# Below as many channels or filters the transforms cost what the products save.
LEAST_CHANNELS = 16


class Conv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """`keras.layers.Conv2D`, and max-pooling between it and its activation if it has any.

    Channels come last. Name, weights, function and gradient are those of the layers that it
    stands for.
    """

    def __init__(
        self,
        *args: Any,
        max_pooling: int = 1,
        inputs_are_data: bool = False,
        **kwargs: Any,
    ) -> None:
        """`inputs_are_data`: nothing below this layer learns, so they need no gradient."""
        super().__init__(*args, **kwargs)
        self._max_pooling = max_pooling
        self._inputs_are_data = inputs_are_data

    def call(self, inputs: Any) -> Any:
        """Float `[n, height, width, channels]` in; `[n, height, width, filters]` out, pooled."""
        compute = self._compiled(inputs.shape)
        if compute is not None:
            return compute(inputs)
        outputs = self.convolution_op(inputs, self.kernel)
        if self.use_bias:
            bias = keras.ops.reshape(self.bias, (1, 1, 1, self.filters))
            outputs = keras.ops.custom_gradient(_biased)(outputs, bias)
        return self.activation(self._pooled(outputs))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """`(n, height, width, filters)` of the output."""
        number, height, width, filters = super().compute_output_shape(input_shape)
        return number, height // self._max_pooling, width // self._max_pooling, filters

    def _compiled(self, shape: tuple[int, ...]) -> Callable[[Any], Any] | None:
        """The compiled way for inputs of this shape; None where there is none, or none faster."""
        if (
            keras.backend.backend() != "tensorflow"
            or self.compute_dtype != "float32"
            or self.kernel_size != (3, 3)
            or self.strides != (1, 1)
            or self.dilation_rate != (1, 1)
            or self._max_pooling not in (1, 2)
        ):
            return None
        from cnn_pipeline.network.compiled import one_channel, operations, winograd

        if not operations.on_processor():
            return None
        *_, width, channels = shape
        if channels == 1 and self._inputs_are_data:
            few_enough = self.filters <= one_channel.MOST_FILTERS
            return self._by(operations.convolve_one_channel) if few_enough else None
        if min(channels, self.filters) < LEAST_CHANNELS:
            return None
        # 2 more with padding.
        fits = winograd.fits(width + 2, channels, self.filters)
        return self._by(operations.convolve) if fits else None

    def _by(self, convolve: Callable[..., Any]) -> Callable[[Any], Any]:
        """The layer by a compiled convolution, which pools, and rectifies if that is all."""
        rectified = self.activation is keras.activations.relu

        def compute(inputs: Any) -> Any:
            outputs = convolve(
                *self._padded_and_weights(inputs),
                rectified=rectified,
                pooled=self._max_pooling == 2,
                name=self.name,
            )
            return outputs if rectified else self.activation(outputs)

        return compute

    def _padded_and_weights(self, inputs: Any) -> tuple[Any, Any, Any]:
        if self.padding == "same":
            inputs = keras.ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)))
        bias = self.bias if self.use_bias else keras.ops.zeros((self.filters,))
        return inputs, self.kernel, bias

    def _pooled(self, outputs: Any) -> Any:
        if self._max_pooling == 1:
            return outputs
        size = (self._max_pooling, self._max_pooling)
        return keras.ops.max_pool(outputs, size, strides=size)


def _biased(outputs: Any, bias: Any) -> tuple[Any, Callable[..., tuple[Any, Any]]]:
    """The sum of `outputs` `[n, h, w, f]` and `bias` `[1, 1, 1, f]`, and the gradients of both."""

    def gradients(*given: Any, upstream: Any = None) -> tuple[Any, Any]:
        (upstream,) = given or (upstream,)
        rows = keras.ops.reshape(upstream, (-1, upstream.shape[-1]))
        # Of all ways to add up rows, a product with ones is the fastest.
        ones = keras.ops.ones((1, keras.ops.shape(rows)[0]), dtype=rows.dtype)
        return upstream, keras.ops.reshape(keras.ops.matmul(ones, rows), bias.shape)

    return keras.ops.add(outputs, bias), gradients
