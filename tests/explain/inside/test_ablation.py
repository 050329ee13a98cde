"""Ablation finds the filters that count, and its figure shows their numbers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from cnn_pipeline.explain.inside.ablation import ablate, summarize
from cnn_pipeline.explain.inside.ablation_figure import draw_ablation
from cnn_pipeline.explain.inside.findings import LayerAblation
from cnn_pipeline.explain.inside.layers import convolutions, next_weighted
from cnn_pipeline.settings.trial import Variant
from tests.explain.inside.networks import IMAGES, LABELS, VARIANTS, network
from tests.explain.pages import UNDRAWABLE, check

RNG = np.random.default_rng(0)


NAMES = tuple(f"class {k}" for k in range(4))


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


def ablated(filters: int) -> LayerAblation:
    labels = RNG.integers(0, 4, 400)
    whole = RNG.random(400) < 0.9
    without = whole ^ (RNG.random((filters, 400)) < 0.02)
    without[0] = whole & (labels != 2)
    return summarize("conv1", whole, without, labels)


@pytest.mark.parametrize("filters", [1, 6, 64, 300])
def test_ablation_names_the_filter_that_is_missed(filters: int) -> None:
    layer = ablated(filters)
    kernels = RNG.normal(size=(3, 3, 1, filters))
    shown = check(draw_ablation([layer, layer], NAMES, "title", {"conv1": kernels}))
    assert layer.order[0] == 0
    again = draw_ablation([layer, layer], UNDRAWABLE, "title", {"conv1": kernels})
    assert check(again) == shown
    change = f"{100 * layer.changes[0]:+.2f}".replace("-", "−")
    assert f"{change} ± {100 * layer.margins[0]:.2f}" in shown
    assert f"class 2 −{100 * layer.hurt_by[0]:.2f}" in shown
    assert any(f"{len(layer.needed)} missed beyond chance" in text for text in shown)
    assert ("missed least" in shown) == (filters > 1)
    assert any("the 128 most missed are shown" in text for text in shown) == (filters == 300)
