"""What one answer of a layer sees."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.explain.inside.layers import answers_of, convolutions, sight
from cnn_pipeline.network.plan import plan_layers
from cnn_pipeline.settings.trial import Variant
from tests.explain.inside.networks import SHAPE, VARIANTS, network


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


def test_what_is_no_stack_of_convolutions_is_refused() -> None:
    dense = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(InvalidInput, match="at least one convolution"):
        convolutions(dense)
