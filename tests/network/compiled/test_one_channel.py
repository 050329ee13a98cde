"""The first convolution in one pass: outputs, places and gradients of what it replaces."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from cnn_pipeline.network.compiled import one_channel
from tests.network.compiled.direct import (
    Floats,
    assert_near,
    convolve,
    gradients,
    pooled_room,
    problem,
    room,
    upstream_of,
)

ERROR = 2e-6
NOTHING, RELU = np.float32(-np.inf), np.float32(0)
SHAPES = [(3, 8, 8, 1), (2, 3, 9, 1), (2, 9, 4, 1), (5, 28, 28, 1)]


def forward(images: Floats, kernels: Floats, bias: Floats, floor: np.float32) -> Floats:
    out = room(images, bias)
    one_channel.forward(images, kernels, bias, floor, out)
    return out


def forward_pooled(
    images: Floats, kernels: Floats, bias: Floats, floor: np.float32
) -> tuple[Floats, np.ndarray]:
    out, places = pooled_room(images, bias)
    one_channel.forward_pooled(images, kernels, bias, floor, out, places)
    return out, places


@pytest.mark.parametrize("filters", [1, 5, 64, one_channel.MOST_FILTERS])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_outputs_and_gradients(shape: tuple[int, int, int, int], filters: int) -> None:
    images, kernels, bias = problem(shape, filters)
    outputs = forward(images, kernels, bias, RELU)
    assert_near(outputs, np.maximum(convolve(images, kernels, bias), 0), ERROR)
    upstream = upstream_of(outputs)
    found = one_channel.backward(images, kernels, outputs, upstream, True)
    expected = gradients(images, kernels, np.where(outputs > 0, upstream, 0))
    for mine, theirs in zip(found, expected[1:], strict=True):
        assert_near(mine, theirs, 10 * ERROR)


@pytest.mark.parametrize("rectified", [True, False])
@pytest.mark.parametrize("filters", [5, 64])
@pytest.mark.parametrize("shape", [(3, 8, 8, 1), (2, 7, 9, 1), (5, 28, 28, 1)], ids=str)
def test_pooled_outputs_and_gradients_are_tensorflows_also_where_outputs_are_equal(
    shape: tuple[int, int, int, int], filters: int, rectified: bool
) -> None:
    """Whole numbers have no rounding: of four outputs, several are the largest, and it is exact."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 3, shape).astype(np.float32)
    kernels = rng.integers(-1, 2, (3, 3, 1, filters)).astype(np.float32)
    bias = rng.integers(-3, 1, filters).astype(np.float32)
    outputs, places = forward_pooled(images, kernels, bias, RELU if rectified else NOTHING)
    upstream = rng.integers(-3, 4, outputs.shape).astype(np.float32)

    variables = [tf.constant(kernels), tf.constant(bias)]
    with tf.GradientTape() as tape:
        tape.watch(variables)
        convolved = tf.nn.bias_add(tf.nn.conv2d(images, variables[0], 1, "VALID"), variables[1])
        pooled = tf.nn.max_pool2d(convolved, 2, 2, "VALID")
        theirs = tf.nn.relu(pooled) if rectified else pooled
    expected = tape.gradient(theirs, variables, upstream)

    assert np.array_equal(outputs, theirs.numpy())
    found = one_channel.backward_pooled(images, kernels, outputs, places, upstream, rectified)
    for mine, other in zip(found, expected, strict=True):
        assert np.abs(other.numpy()).max() > 3
        assert np.array_equal(mine, other.numpy())


def test_the_first_of_equal_outputs_is_the_place() -> None:
    images, kernels = np.ones((1, 6, 6, 1), np.float32), np.ones((3, 3, 1, 2), np.float32)
    outputs, places = forward_pooled(images, kernels, np.zeros(2, np.float32), NOTHING)
    assert (outputs == 9).all()
    assert (places == 0).all()


def test_each_of_the_four_places_is_found() -> None:
    kernels = np.zeros((3, 3, 1, 1), np.float32)
    kernels[0, 0] = 1
    for place, (line, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        images = np.zeros((1, 4, 4, 1), np.float32)
        images[0, line, column] = 7
        outputs, places = forward_pooled(images, kernels, np.zeros(1, np.float32), NOTHING)
        assert (outputs.item(), places.item()) == (7, place)


def test_what_is_no_number_is_not_rectified_away() -> None:
    images, kernels, bias = problem((1, 6, 6, 1), 3)
    bias[1] = np.nan
    assert np.isnan(forward(images, kernels, bias, RELU)[..., 1]).all()
    assert np.isnan(forward_pooled(images, kernels, bias, RELU)[0][..., 1]).all()
