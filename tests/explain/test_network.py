"""Looking into a network finds what was put into it, on networks whose weights are known."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.explain.inside.ablation import ablate, summarize
from cnn_pipeline.explain.inside.layers import answers_of, convolutions, next_weighted, sight
from cnn_pipeline.explain.inside.occlusion import log_odds, look
from cnn_pipeline.explain.inside.patches import exciting_patches
from cnn_pipeline.network.build import build_model
from cnn_pipeline.network.plan import plan_layers
from cnn_pipeline.settings.trial import Variant

SHAPE = (20, 16, 1)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, *SHAPE)).astype(np.uint8)
LABELS = np.arange(12) % 3

VARIANTS = [
    Variant(filters=4, dense_units=8),
    Variant(filters=(4, 3), pooling="average", batch_norm=True, dense_units=8),
    Variant(filters=4, pooling="none", padding="same", kernel_size=5, dense_units=8, dropout=0.5),
    Variant(filters=3, pooling="strided", padding="same", dense_units=8),
    Variant(filters=5, conv_layers=1, dense_units=8),
]


def network(variant: Variant) -> keras.Sequential:
    model = build_model(variant, SHAPE, 3, seed=1)
    # Statistics and offsets that are not 0 and 1, so that an order of layers can be wrong.
    model.set_weights([w + RNG.uniform(0.05, 0.3, w.shape) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_the_sight_is_the_plans_receptive_field(variant: Variant) -> None:
    model = network(variant)
    fields = {layer.name: layer.receptive_field for layer in plan_layers(variant, SHAPE, 3).layers}
    for layer in convolutions(model):
        assert sight(model, layer).field == fields[layer.name]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_an_answer_sees_its_square_and_no_more(variant: Variant) -> None:
    """Noise outside the square leaves the answer as it is, noise inside changes it."""
    model = network(variant)
    for layer in convolutions(model):
        answers = answers_of(model, layer)
        seen = sight(model, layer)
        rows, columns = layer.output.shape[1:3]
        row, column = rows // 2, columns // 2
        top, left = seen.start[0] + row * seen.jump, seen.start[1] + column * seen.jump
        inside = np.zeros(SHAPE, bool)
        inside[max(top, 0) : top + seen.field, max(left, 0) : left + seen.field] = True
        image = np.full(SHAPE, 90, np.uint8)
        outer = np.where(inside, image, 200).astype(np.uint8)
        inner = np.where(inside, 200, image).astype(np.uint8)
        batch = np.stack([image, outer, inner])
        before, out, within = keras.ops.convert_to_numpy(answers(batch))[:, row, column]
        np.testing.assert_allclose(out, before, rtol=1e-4)
        assert np.abs(within - before).max() > 1e-3


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_ablation_is_what_zeroed_maps_give(variant: Variant) -> None:
    """Against the slow and plain way: the map set to 0, the rest of the network run."""
    model = network(variant)
    for layer in convolutions(model):
        found = ablate(model, layer, IMAGES, LABELS)
        assert found.accuracy == np.mean(model.predict_on_batch(IMAGES).argmax(axis=1) == LABELS)
        expected = []
        for k in range(layer.filters):
            values = keras.ops.convert_to_tensor(IMAGES)
            after = next_weighted(model, layer)
            for position, one in enumerate(model.layers):
                if position == after - isinstance(model.layers[after - 1], keras.layers.Flatten):
                    keep = np.ones(layer.filters, np.float32)
                    keep[k] = 0.0
                    values = values * keep
                values = one(values, training=False)
            expected.append(np.mean(keras.ops.convert_to_numpy(values).argmax(axis=1) == LABELS))
        np.testing.assert_allclose(found.accuracies, expected)


def test_ablation_takes_fewer_images_where_all_would_cost_too_much() -> None:
    model = network(VARIANTS[0])
    images = np.repeat(IMAGES, 30, axis=0)
    labels = np.repeat(LABELS, 30)
    layer = convolutions(model)[0]
    assert ablate(model, layer, images, labels, budget=1.0).images == 200
    assert ablate(model, layer, images, labels).images == 360


def test_the_summary_of_an_ablation() -> None:
    labels = np.array([0] * 50 + [1] * 50)
    whole = np.ones(100, bool)
    whole[0] = False
    without = np.stack([whole, whole, whole])
    without[1, 50:90] = False  # class 1 loses 40 of 50
    without[2, 0] = True  # one more is right
    found = summarize("conv1", whole, without, labels)
    np.testing.assert_allclose(found.changes, [0, -0.4, 0.01], atol=1e-12)
    assert found.order.tolist() == [1, 0, 2]
    assert found.needed.tolist() == [1]
    assert found.hurt.tolist() == [-1, 1, -1]
    np.testing.assert_allclose(found.hurt_by, [0, 0.8, 0])
    # 2.394 is the normal quantile of 1 - 0.05 / 2 / 3; 40 pairs disagree, all in one direction.
    assert found.margins[1] == pytest.approx(2.394 * np.sqrt(42 - 16) / 100, rel=1e-3)


def marked_network() -> keras.Sequential:
    """Filter 0 answers to a bright vertical edge, filter 1 to nothing."""
    model = build_model(Variant(filters=2, conv_layers=1, dense_units=4), SHAPE, 2, seed=0)
    kernel = np.zeros((3, 3, 1, 2), np.float32)
    kernel[..., 0, 0] = [[-1, 0, 1]] * 3
    kernel[..., 0, 1] = -1
    model.get_layer("conv1").set_weights([kernel, np.zeros(2, np.float32)])
    return model


def test_patches_are_found_where_they_were_put() -> None:
    images = np.zeros((4, *SHAPE), np.uint8)
    images[1, 5:8, 9] = 200  # the edge
    images[2, 5:8, 9] = 100  # a weaker one
    labels = np.array([0, 1, 0, 0])
    model = marked_network()
    found = exciting_patches(model, convolutions(model)[0], images, labels, top=2)
    assert found.images[0].tolist() == [1, 2]
    assert found.corners[0].tolist() == [[5, 7], [5, 7]]
    assert found.patches[0, 0, :, :, 0].tolist() == [[0, 0, 200]] * 3
    np.testing.assert_allclose(found.strengths[0], [600 / 255, 300 / 255], rtol=1e-5)
    assert found.dead.tolist() == [1]
    assert found.favourites.tolist() == [1, -1]


def test_patches_beyond_the_border_are_black() -> None:
    model = build_model(Variant(filters=1, conv_layers=1, padding="same"), SHAPE, 2, seed=0)
    ones = np.ones((3, 3, 1, 1), np.float32)
    model.get_layer("conv1").set_weights([ones, np.zeros(1, np.float32)])
    images = np.zeros((1, *SHAPE), np.uint8)
    images[0, 0, 0] = 255
    found = exciting_patches(model, convolutions(model)[0], images, np.array([0]), top=1)
    assert found.corners[0, 0].tolist() == [-1, -1]
    assert found.patches[0, 0, :, :, 0].tolist() == [[0, 0, 0], [0, 255, 0], [0, 0, 0]]


def test_a_look_finds_the_pixel_that_decides() -> None:
    def predict(batch: np.ndarray) -> np.ndarray:
        share = 0.1 + 0.8 * (batch[:, 12, 9, 0] > 0)
        return np.stack([1 - share, share], axis=1)

    image = np.full(SHAPE, 255, np.uint8)
    found = look(predict, image, np.uint8([0]), true=1)
    assert (found.given, found.right, found.size) == (1, True, 4)
    top, left = (found.corners[axis][found.weakest[axis]] for axis in (0, 1))
    assert top <= 12 < top + 4 and left <= 9 < left + 4
    assert found.change.min() == pytest.approx(log_odds(0.1) - log_odds(0.9))
    assert found.covered[found.weakest].argmax() == 0
    assert found.pixels.shape == SHAPE[:2]
    assert np.isfinite(found.pixels).all()
    assert found.pixels[12, 9] == found.pixels.min()
    assert found.pixels[0, 0] == 0
    assert look(predict, image, np.uint8([0])).right is None


def test_certain_answers_have_finite_log_odds() -> None:
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()


def test_what_is_no_stack_of_convolutions_is_refused() -> None:
    dense = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(InvalidInput, match="at least one convolution"):
        convolutions(dense)
