"""The model that is asked for, and the twin that trains."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from cnn_pipeline.network.build import build_model, build_twin, layer_outputs
from cnn_pipeline.network.plan import plan_layers
from cnn_pipeline.settings.trial import Variant

SHAPE = (28, 28, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (16, *SHAPE), dtype=np.uint8)

SMALL = {"filters": 4, "dense_units": 8}
VARIANTS = [
    Variant(**SMALL, pooling="max"),
    Variant(**SMALL, pooling="max", batch_norm=True),
    Variant(**SMALL, pooling="average", dropout=0.5),
    Variant(**SMALL, pooling="strided", padding="same"),
    Variant(**SMALL, pooling="none"),
    Variant(**SMALL, pooling="max", activation="leaky_relu"),
    Variant(**SMALL, pooling="max", activation="gelu"),
    Variant(**SMALL, pooling="max", activation="silu", batch_norm=True),
    Variant(**SMALL, pooling="average", activation="tanh"),
]


def test_the_tutorials_layers_in_order() -> None:
    model = build_model(Variant(), SHAPE, 10, seed=0)
    kinds = " ".join(type(layer).__name__ for layer in model.layers)
    convolutions = "Conv2D MaxPooling2D Conv2D MaxPooling2D"
    assert kinds == f"Rescaling {convolutions} Flatten Dense Dense"
    assert model.inputs[0].dtype == "uint8"
    assert {weight.dtype for weight in model.weights} == {"float32"}


@pytest.mark.parametrize("pooling", ["max", "average", "none"])
def test_a_users_channels_first_changes_nothing(pooling: str) -> None:
    """As in a notebook that has imported Keras, with `keras.json`, before this package."""
    variant = Variant(filters=2, pooling=pooling, dense_units=4, batch_norm=True)
    expected = build_model(variant, (12, 10, 3), 3, seed=0)
    keras.config.set_image_data_format("channels_first")
    try:
        built = build_model(variant, (12, 10, 3), 3, seed=0)
        twin = build_twin(built, variant, precision="float32", seed=0)
        logits = twin(np.zeros((2, 12, 10, 3), dtype=np.uint8))
    finally:
        keras.config.set_image_data_format("channels_last")
    assert built.to_json() == expected.to_json()
    assert logits.shape == (2, 3)


def test_the_same_seed_gives_the_same_weights_in_any_order() -> None:
    first = build_model(Variant(**SMALL), SHAPE, 10, seed=3).get_weights()
    build_model(Variant(filters=7), SHAPE, 10, seed=9)
    np.random.default_rng().random(5)
    again = build_model(Variant(**SMALL), SHAPE, 10, seed=3).get_weights()
    other = build_model(Variant(**SMALL), SHAPE, 10, seed=4).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_pixels_are_scaled_inside() -> None:
    model = build_model(Variant(**SMALL), SHAPE, 10, seed=0)
    rescaled = keras.Model(model.inputs[0], model.layers[0].output)(IMAGES)
    assert np.allclose(keras.ops.convert_to_numpy(rescaled), IMAGES / 255, atol=1e-7)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_the_twin_is_the_same_function(variant: Variant) -> None:
    model = build_model(variant, SHAPE, 10, seed=1)
    twin = build_twin(model, variant, precision="float32", seed=1)
    probabilities = keras.ops.softmax(twin(IMAGES, training=False))
    assert np.allclose(probabilities, model(IMAGES, training=False), atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_the_bfloat16_twin_keeps_float32_weights_and_nearly_the_function(variant: Variant) -> None:
    model = build_model(variant, SHAPE, 10, seed=1)
    twin = build_twin(model, variant, precision="bfloat16", seed=1)
    assert {weight.dtype for weight in twin.weights} == {"float32"}
    assert twin.get_layer("conv2").compute_dtype == "bfloat16"
    logits = twin(IMAGES, training=False)
    assert logits.dtype == "float32"
    # bfloat16 has 8 bits of precision: 1/256 per rounding, a few roundings per layer.
    assert np.allclose(keras.ops.softmax(logits), model(IMAGES, training=False), atol=0.03)


def test_max_pooling_comes_before_relu_in_the_twin_only() -> None:
    normalised = VARIANTS[1]
    assert normalised.batch_norm
    model = build_model(normalised, SHAPE, 10, seed=0)
    twin = build_twin(model, normalised, precision="float32", seed=0)
    for layers, first, second in (
        (twin.layers, "pool1", "relu1"),
        (model.layers, "relu1", "pool1"),
    ):
        names = [layer.name for layer in layers]
        assert names.index(first) < names.index(second)


def test_the_twins_convolution_pools_by_itself_where_nothing_stands_between() -> None:
    model = build_model(VARIANTS[0], SHAPE, 10, seed=0)
    twin = build_twin(model, VARIANTS[0], precision="float32", seed=0)
    assert [layer.name for layer in twin.layers][:3] == ["rescale", "conv1", "conv2"]
    assert [tuple(w.shape) for w in twin.weights] == [tuple(w.shape) for w in model.weights]


def test_the_activation_follows_each_convolution_and_the_dense_layer() -> None:
    variant = Variant(**SMALL, activation="silu")
    model = build_model(variant, SHAPE, 10, seed=0)
    named = {layer.name: getattr(layer, "activation", None) for layer in model.layers}
    silu = keras.activations.silu
    assert (named["conv1"], named["conv2"], named["dense"]) == (silu, silu, silu)
    assert named["probabilities"] is keras.activations.softmax
    assert layer_outputs(model, variant, IMAGES[:1])[1][1] == "convolution 3x3, SiLU"
    normalised = Variant(**SMALL, activation="gelu", batch_norm=True)
    model = build_model(normalised, SHAPE, 10, seed=0)
    kinds = {name: kind for name, kind, _ in layer_outputs(model, normalised, IMAGES[:1])}
    assert (kinds["conv1"], kinds["gelu1"]) == ("convolution 3x3", "GELU")


def test_trained_weights_go_back_into_the_model() -> None:
    variant = VARIANTS[1]
    model = build_model(variant, SHAPE, 10, seed=0)
    twin = build_twin(model, variant, precision="float32", seed=0)
    twin.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    twin.fit(IMAGES, np.arange(16) % 10, verbose=0)
    before = model.predict_on_batch(IMAGES)
    model.set_weights(twin.get_weights())
    after = model.predict_on_batch(IMAGES)
    assert not np.allclose(before, after, atol=1e-6)
    assert np.allclose(keras.ops.softmax(twin(IMAGES, training=False)), after, atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_layer_outputs_follow_the_plan(variant: Variant) -> None:
    model = build_model(variant, SHAPE, 10, seed=0)
    outputs = layer_outputs(model, variant, IMAGES[:3])
    shapes = {name: values.shape for name, _, values in outputs}
    for layer in plan_layers(variant, SHAPE, 10).layers:
        if layer.kind != "dropout":
            assert shapes[layer.name] == (3, *layer.output_shape)
    assert np.array_equal(outputs[0][2], IMAGES[:3])
    assert np.allclose(outputs[-1][2], model.predict_on_batch(IMAGES[:3]), atol=1e-6)
    assert outputs[1][1].startswith("convolution 3x3")
