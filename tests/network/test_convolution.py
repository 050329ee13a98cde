"""The twin's convolution: Keras' own function and gradients, computed in another way."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from cnn_pipeline.network.compiled import operations
from cnn_pipeline.network.compiled.operations import LEAST_CHANNELS
from cnn_pipeline.network.convolution import Conv2D

MANY = LEAST_CHANNELS
# Channels of the images, filters, and settings; whether it is compiled.
LAYERS: dict[str, tuple[int, int, dict[str, Any], bool]] = {
    "grey images": (1, 5, {"inputs_are_data": True}, True),
    "grey images with a border": (1, 5, {"inputs_are_data": True, "padding": "same"}, True),
    "grey images without bias": (1, 5, {"inputs_are_data": True, "use_bias": False}, True),
    "one channel that learns": (1, 5, {}, False),
    "many channels": (MANY, MANY + 1, {}, True),
    "many channels with a border": (MANY, MANY, {"padding": "same"}, True),
    "many channels without bias": (MANY, MANY, {"use_bias": False}, True),
    "few channels": (MANY - 1, MANY, {}, False),
    "few filters": (MANY, MANY - 1, {"use_bias": False}, False),
    "strides": (MANY, MANY, {"strides": 2, "padding": "same"}, False),
    "large kernels": (MANY, MANY, {"kernel_size": 5}, False),
    "distant places": (MANY, MANY, {"dilation_rate": 2}, False),
}


def outcome(layers: list[keras.layers.Layer], images: np.ndarray) -> list[Any]:
    """Outputs, and the gradients of weights and inputs, with weights that follow from a seed."""
    model = keras.Sequential([keras.layers.Input(images.shape[1:]), *layers])
    rng = np.random.default_rng(1)
    model.set_weights(
        [
            rng.normal(scale=np.prod(weight.shape[:-1]) ** -0.5, size=weight.shape)
            for weight in model.get_weights()
        ]
    )

    @tf.function
    def all_of_it(inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = model(inputs)
            loss = tf.reduce_sum(tf.square(outputs))
        weights = [weight.value for weight in model.trainable_variables]
        return [outputs, *tape.gradient(loss, [*weights, inputs])]

    return list(all_of_it(tf.constant(images)))


def images_of(channels: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6, 11, 12, channels)).astype("float32")


def operations_of(layer: keras.layers.Layer, channels: int) -> set[str]:
    call = tf.function(layer).get_concrete_function(tf.TensorSpec((None, 11, 12, channels)))
    return {operation.type for operation in call.graph.get_operations()}


@pytest.mark.parametrize("pooling", [1, 2, 3])
@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients_are_those_of_keras(
    name: str, activation: str | None, pooling: int
) -> None:
    channels, filters, settings, _ = LAYERS[name]
    settings = {"kernel_size": 3, **settings}
    ours = Conv2D(filters, activation=activation, max_pooling=pooling, **settings)
    inputs_are_data = settings.pop("inputs_are_data", False)
    theirs = [keras.layers.Conv2D(filters, **settings)]
    theirs += [keras.layers.MaxPooling2D(pooling)] if pooling > 1 else []
    theirs += [keras.layers.Activation(activation)] if activation else []
    images = images_of(channels)
    found, expected = outcome([ours], images), outcome(theirs, images)
    if inputs_are_data and pooling < 3:
        assert found.pop() is None
        expected.pop()
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        largest = float(tf.reduce_max(tf.abs(other)))
        assert largest > 0.1
        np.testing.assert_allclose(one, other, rtol=0, atol=5e-5 * largest)


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_compiled(name: str) -> None:
    channels, filters, settings, is_compiled = LAYERS[name]
    layer = Conv2D(filters, **{"kernel_size": 3, **settings})
    kinds = operations_of(layer, channels)
    assert ("PyFuncStateless" in kinds, "Conv2D" in kinds) == (is_compiled, not is_compiled)


def test_bfloat16_is_onednns() -> None:
    assert "Conv2D" in operations_of(Conv2D(MANY, 3, dtype="mixed_bfloat16"), MANY)


def test_a_gpu_gets_tensorflows_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "on_processor", lambda: False)
    for channels in (1, MANY):
        assert "Conv2D" in operations_of(Conv2D(MANY, 3, inputs_are_data=True), channels)


def test_images_that_are_too_wide_are_left_to_tensorflow() -> None:
    images = np.random.default_rng(0).normal(size=(1, 4, 700, MANY)).astype("float32")
    assert outcome([Conv2D(MANY, 3)], images)[0].shape == (1, 2, 698, MANY)


@pytest.mark.parametrize("channels", [1, MANY])
def test_outside_of_a_graph_it_is_the_same(channels: int) -> None:
    layer = Conv2D(MANY, 3, activation="relu", inputs_are_data=True)
    images = images_of(channels)
    assert np.array_equal(layer(images), tf.function(layer)(images))


def test_one_filter_will_do() -> None:
    for layer in (Conv2D(1, 3), Conv2D(1, 3, inputs_are_data=True)):
        assert layer(np.ones((2, 5, 5, 1), "float32")).shape == (2, 3, 3, 1)


def test_results_begin_where_tensorflow_takes_them_without_a_copy() -> None:
    for size in (1, 7, 1000):
        for dtype in (np.float32, np.uint8):
            memory = operations._empty((size, 3), dtype)
            assert memory.shape == (size, 3)
            assert memory.ctypes.data % 64 == 0


def test_the_gradient_of_a_bias_does_not_join_that_of_the_kernels() -> None:
    """The graph pass merges the two if they read one tensor."""
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
