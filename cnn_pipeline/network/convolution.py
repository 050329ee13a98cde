"""The twin's convolution: Keras' function and gradients with the fastest measured arithmetic.

3x3 kernels in float32 on a processor use `compiled`. Everything else, and JAX, uses Keras'
operations with one change: TensorFlow's graph pass for oneDNN merges the gradients of kernel and
bias into one primitive that takes far longer than the two, so the bias has its own gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


class Conv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """`keras.layers.Conv2D` with optional max-pooling before its activation, channels last.

    Name, weights, function and gradient are those of the separate layers.
    """

    def __init__(
        self, *args: Any, max_pooling: int = 1, inputs_are_data: bool = False, **kwargs: Any
    ) -> None:
        """With `inputs_are_data` the inputs need no gradient: no layer before this one learns."""
        super().__init__(*args, **kwargs)
        self._max_pooling = max_pooling
        self._inputs_are_data = inputs_are_data

    def call(self, inputs: Any) -> Any:
        """Float `[n, height, width, channels]` to `[n, height, width, filters]`, pooled."""
        compute = self._compiled(inputs.shape)
        if compute is not None:
            return compute(inputs)
        outputs = self.convolution_op(inputs, self.kernel)
        if self.use_bias:
            bias = keras.ops.reshape(self.bias, (1, 1, 1, self.filters))
            outputs = keras.ops.custom_gradient(_biased)(outputs, bias)
        return self.activation(self._pooled(outputs))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Shape of the output: `(n, height, width, filters)`."""
        number, height, width, filters = super().compute_output_shape(input_shape)
        return number, height // self._max_pooling, width // self._max_pooling, filters

    def _compiled(self, shape: tuple[int, ...]) -> Callable[[Any], Any] | None:
        """A compiled function for inputs of this shape; None if there is none, or none faster."""
        if (
            keras.backend.backend() != "tensorflow"
            or self.compute_dtype != "float32"
            or self.kernel_size != (3, 3)
            or self.strides != (1, 1)
            or self.dilation_rate != (1, 1)
            or self._max_pooling not in (1, 2)
        ):
            return None
        from cnn_pipeline.network.compiled import operations

        *_, width, channels = shape
        # At most 2 pixels of padding.
        convolve = operations.convolution_for(
            width + 2, channels, self.filters, inputs_are_data=self._inputs_are_data
        )
        return None if convolve is None else self._by(convolve)

    def _by(self, convolve: Callable[..., Any]) -> Callable[[Any], Any]:
        """The layer by a compiled convolution, which also pools and applies ReLU."""
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
        return keras.ops.max_pool(outputs, size, strides=size, data_format=self.data_format)


def _biased(outputs: Any, bias: Any) -> tuple[Any, Callable[..., tuple[Any, Any]]]:
    """Sum of `outputs` `[n, h, w, f]` and `bias` `[1, 1, 1, f]`, and its gradients."""

    def gradients(*given: Any, upstream: Any = None) -> tuple[Any, Any]:
        (upstream,) = given or (upstream,)
        rows = keras.ops.reshape(upstream, (-1, upstream.shape[-1]))
        # The fastest way to sum rows is a product with ones.
        ones = keras.ops.ones((1, keras.ops.shape(rows)[0]), dtype=rows.dtype)
        return upstream, keras.ops.reshape(keras.ops.matmul(ones, rows), bias.shape)

    return keras.ops.add(outputs, bias), gradients
