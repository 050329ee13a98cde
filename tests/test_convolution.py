"""The twin's convolution: Keras' own function and gradients, computed in another way."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from cnn_pipeline.convolution import Conv2D


def outcome(kind: type[keras.layers.Conv2D], images: np.ndarray, **settings: Any) -> list[Any]:
    """Outputs, and the gradients of inputs and weights, of a layer with weights of its own."""
    layer = kind(5, 3, **settings)
    layer.build(images.shape)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.get_weights()])

    @tf.function
    def both(inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            loss = tf.reduce_sum(tf.square(outputs))
        weights = [weight.value for weight in layer.trainable_variables]
        return [outputs, *tape.gradient(loss, [inputs, *weights])]

    return both(tf.constant(images))


@pytest.mark.parametrize("settings", [{}, {"padding": "same", "strides": 2}, {"use_bias": False}])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_outputs_and_gradients_are_those_of_keras(
    activation: str | None, settings: dict[str, Any]
) -> None:
    images = np.random.default_rng(0).normal(size=(6, 9, 8, 2)).astype("float32")
    ours = outcome(Conv2D, images, activation=activation, **settings)
    kerass = outcome(keras.layers.Conv2D, images, activation=activation, **settings)
    assert len(ours) == len(kerass) == (3 if "use_bias" in settings else 4)
    for one, other in zip(ours, kerass, strict=True):
        assert np.allclose(one, other, rtol=1e-5, atol=1e-3)
        assert float(tf.reduce_max(tf.abs(other))) > 1


def test_one_filter_will_do() -> None:
    layer = Conv2D(1, 3)
    assert layer(np.ones((2, 5, 5, 1), "float32")).shape == (2, 3, 3, 1)


def test_the_gradient_of_a_bias_does_not_join_that_of_the_kernels() -> None:
    """The graph pass joins the two where they read one tensor."""
    layer = Conv2D(4, 3)
    layer.build((None, 8, 8, 1))

    @tf.function
    def gradients(inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(inputs))
        return tape.gradient(loss, [weight.value for weight in layer.trainable_variables])

    graph = gradients.get_concrete_function(tf.TensorSpec((2, 8, 8, 1))).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert "Conv2DBackpropFilter" in kinds
    assert "BiasAddGrad" not in kinds
