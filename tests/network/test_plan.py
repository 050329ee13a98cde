"""Layer shapes, parameters and MACs, compared with the Keras model."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.network.plan import augmentation_seconds, estimate_seconds, plan_layers
from cnn_pipeline.settings.trial import Training, Variant

SHAPE = (28, 28, 1)

variants = st.builds(
    Variant,
    filters=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    kernel_size=st.integers(1, 5),
    pooling=st.sampled_from(["max", "average", "strided", "none"]),
    pool_size=st.integers(2, 3),
    padding=st.sampled_from(["valid", "same"]),
    dense_units=st.integers(1, 20),
    dropout=st.sampled_from([0.0, 0.3]),
    batch_norm=st.booleans(),
)
shapes = st.tuples(st.integers(8, 32), st.integers(8, 32), st.sampled_from([1, 3]))


def test_the_tutorials_network_has_the_tutorials_numbers() -> None:
    plan = plan_layers(Variant(), SHAPE, 10)
    assert plan.num_params == 243_786
    assert plan.journey == ("26x26x64 > 13x13x64 > 11x11x64 > 5x5x64 > 1600 > 128 > 10")
    assert plan.architecture == "28x28x1 > C64 3x3 > P2 > C64 3x3 > P2 > D128 > 10"
    convolutions = 26 * 26 * 64 * 9 + 11 * 11 * 64 * 64 * 9
    assert plan.macs == convolutions + 1600 * 128 + 128 * 10


def test_without_pooling_the_first_dense_layer_sees_everything() -> None:
    assert plan_layers(Variant(pooling="none"), SHAPE, 10).num_params == 4_757_578


def test_receptive_field_of_the_tutorials_network() -> None:
    layers = plan_layers(Variant(), SHAPE, 10).layers
    fields = {layer.name: layer.receptive_field for layer in layers}
    # 3; a 2x2 window adds one jump of 1; a 3x3 kernel adds two jumps of 2; a window one of 2.
    assert (fields["conv1"], fields["pool1"], fields["conv2"], fields["pool2"]) == (3, 4, 8, 10)


def test_receptive_field_with_strides() -> None:
    plan = plan_layers(Variant(pooling="strided"), SHAPE, 10)
    assert [layer.receptive_field for layer in plan.layers[:2]] == [3, 7]
    assert plan.architecture == "28x28x1 > C64 3x3/2 > C64 3x3/2 > D128 > 10"


@settings(max_examples=25, deadline=None)
@given(variant=variants, shape=shapes, classes=st.integers(2, 12))
def test_every_plan_is_the_keras_models(
    variant: Variant, shape: tuple[int, int, int], classes: int
) -> None:
    from cnn_pipeline.network.build import build_model

    try:
        plan = plan_layers(variant, shape, classes)
    except InvalidInput:
        with pytest.raises(InvalidInput):
            build_model(variant, shape, classes, seed=0)
        return
    model = build_model(variant, shape, classes, seed=0)
    assert plan.num_params == model.count_params()
    by_name = {layer.name: layer for layer in model.layers}
    for layer in plan.layers:
        assert by_name[layer.name].output.shape[1:] == layer.output_shape
        assert by_name[layer.name].count_params() == layer.params


@pytest.mark.parametrize(
    ("variant", "layer"),
    [
        (Variant(conv_layers=4), "conv4"),
        (Variant(filters=8, kernel_size=15, conv_layers=2), "conv2"),
        (Variant(filters=8, conv_layers=5, pooling="average", padding="same"), "pool5"),
    ],
)
def test_an_image_that_shrinks_away_is_refused_by_name(variant: Variant, layer: str) -> None:
    with pytest.raises(InvalidInput, match=f"{variant.name}.*{layer}.*Use fewer"):
        plan_layers(variant, SHAPE, 10)


def test_a_third_convolution_fits_and_a_fourth_does_not() -> None:
    assert plan_layers(Variant(conv_layers=3), SHAPE, 10).layers[5].output_shape == (1, 1, 64)
    with pytest.raises(InvalidInput):
        plan_layers(Variant(conv_layers=4), SHAPE, 10)


def test_the_estimate_grows_with_the_work() -> None:
    small, large = (plan_layers(Variant(filters=f), SHAPE, 10) for f in (16, 64))
    one, two = Training(epochs=1), Training(epochs=2)
    little = estimate_seconds(small, one, 1000, 100)
    more_filters = estimate_seconds(large, one, 1000, 100)
    more_epochs = estimate_seconds(large, two, 1000, 100)
    more_images = estimate_seconds(large, two, 60_000, 100)
    more_to_score = estimate_seconds(large, two, 60_000, 10_000)
    assert little < more_filters < more_epochs < more_images < more_to_score


def test_the_estimate_counts_the_augmentation_by_image_and_size() -> None:
    small, large = (plan_layers(Variant(), shape, 10) for shape in (SHAPE, (56, 56, 1)))
    kinds = ("flip", "shift", "flip+shift", "random-erase")
    flip, shift, both, erase = (
        augmentation_seconds(small, Training(augmentation=kind), 1000) for kind in kinds
    )
    assert min(flip, shift, erase) > 0 and both == pytest.approx(flip + shift)
    shifted = Training(augmentation="shift")
    assert augmentation_seconds(large, shifted, 1000) == pytest.approx(4 * shift)
    assert augmentation_seconds(small, Training(), 1000) == 0
    without = estimate_seconds(small, Training(), 1000, 100)
    assert estimate_seconds(small, shifted, 1000, 100) == pytest.approx(without + shift)
