"""The arithmetic that reads like the text gives the numbers of Keras' layers."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.explain.convolution.arithmetic import (
    convolution_at,
    convolve,
    max_pool,
    pooling_at,
    relu,
    strongest,
    telling_window,
)
from cnn_pipeline.explain.convolution.hand_made import HAND_MADE
from cnn_pipeline.explain.convolution.text import (
    WIDTH,
    convolution_text,
    grid,
    number,
    pooling_text,
)

IMAGE = np.random.default_rng(0).integers(0, 256, (9, 7)).astype(np.uint8)


def keras_answer(layer: keras.layers.Layer, numbers: np.ndarray) -> np.ndarray:
    batch = numbers.astype(np.float32)[np.newaxis, ..., np.newaxis]
    return keras.ops.convert_to_numpy(layer(batch))[0, ..., 0]


@pytest.mark.parametrize("name", HAND_MADE)
def test_convolution_and_relu_equal_keras(name: str) -> None:
    weights = HAND_MADE[name].weights
    layer = keras.layers.Conv2D(1, 3, activation="relu", use_bias=False)
    layer.build((None, 9, 7, 1))
    layer.set_weights([weights[..., np.newaxis, np.newaxis]])
    expected = keras_answer(layer, IMAGE)
    assert expected.shape == (7, 5)
    assert expected.max() > 0
    np.testing.assert_allclose(relu(convolve(IMAGE, weights)), expected, rtol=1e-5, atol=1e-2)


def test_a_larger_kernel_equals_keras() -> None:
    weights = np.random.default_rng(1).normal(size=(5, 5))
    layer = keras.layers.Conv2D(1, 5, use_bias=False)
    layer.build((None, 9, 7, 1))
    layer.set_weights([weights[..., np.newaxis, np.newaxis]])
    np.testing.assert_allclose(
        convolve(IMAGE, weights), keras_answer(layer, IMAGE), rtol=1e-4, atol=1e-2
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 3))
def test_pooling_equals_keras_with_odd_edges_too(height: int, width: int, size: int) -> None:
    numbers = np.random.default_rng(height * width).normal(size=(height, width))
    if min(height, width) < size:
        return
    expected = keras_answer(keras.layers.MaxPooling2D(size), numbers)
    np.testing.assert_array_equal(max_pool(numbers, size).astype(np.float32), expected)


def test_one_pixel_has_its_neighbours_products_and_sum() -> None:
    image = np.arange(16).reshape(4, 4)
    step = convolution_at(image, HAND_MADE["vertical"].weights, 1, 2)
    assert step.window.tolist() == [[1, 2, 3], [5, 6, 7], [9, 10, 11]]
    assert step.products.tolist() == [[-1, 0, 3], [-10, 0, 14], [-9, 0, 11]]
    assert (step.total, step.output) == (8.0, 8.0)
    opposite = convolution_at(image, -HAND_MADE["vertical"].weights, 1, 2)
    assert (opposite.total, opposite.output) == (-8.0, 0.0)


def test_one_window_keeps_its_largest() -> None:
    numbers = np.arange(16).reshape(4, 4)
    step = pooling_at(numbers, 1, 0)
    assert step.window.tolist() == [[8, 9], [12, 13]]
    assert step.output == 13


def test_pixels_without_all_neighbours_are_refused() -> None:
    with pytest.raises(InvalidInput, match="row 1 to 7, column 1 to 5; received row 0, column 3"):
        convolution_at(IMAGE, HAND_MADE["blur"].weights, 0, 3)
    with pytest.raises(InvalidInput) as caught:
        convolve(np.zeros((4, 4, 3)), np.zeros((2, 2)))
    assert len(caught.value.faults) == 2
    with pytest.raises(InvalidInput, match="at least as large as the kernel"):
        convolve(np.zeros((2, 5)), np.zeros((3, 3)))


def test_telling_places() -> None:
    numbers = np.zeros((4, 4))
    numbers[2:, :2] = [[1, 2], [3, 4]]
    numbers[:2, :2] = [[0, 0], [0, 900]]
    assert telling_window(numbers) == (1, 0)  # four different numbers beat one large one
    assert strongest(numbers) == (1, 1)


def test_hand_made_filters_do_what_they_say() -> None:
    bright_right = np.zeros((3, 3))
    bright_right[:, 2] = 255
    answers = {name: convolve(bright_right, made.weights) for name, made in HAND_MADE.items()}
    assert answers["vertical"] == 4 * 255
    assert answers["horizontal"] == 0
    even = np.full((3, 3), 100)
    same = {name: convolve(even, made.weights).item() for name, made in HAND_MADE.items()}
    assert same == pytest.approx(
        {"vertical": 0, "horizontal": 0, "edge": 0, "blur": 100, "sharpen": 100}
    )
    with pytest.raises(ValueError, match="read-only"):
        HAND_MADE["blur"].weights[0, 0] = 1


def test_the_text_has_every_number_and_fits_80_columns() -> None:
    image = np.random.default_rng(2).integers(0, 256, (28, 28))
    made = HAND_MADE["vertical"]
    step = convolution_at(image, made.weights, 5, 6)
    text = convolution_text(image, made, step, "a picture with quite a long title (test image 12)")
    assert max(map(len, text.splitlines())) <= WIDTH
    for value in [*step.window.ravel(), *step.products.ravel(), step.total]:
        assert number(abs(float(value))) in text
    assert "row 4, column 5 of the new map" in text.replace("\n", " ")
    assert "28x28 become 26x26" in text.replace("\n", " ")
    pooled = pooling_text(image, pooling_at(image, 3, 4), "x")
    assert max(map(len, pooled.splitlines())) <= WIDTH
    assert "Rows 6 to 7, columns 8 to 9" in pooled
    assert "28x28 become 14x14" in pooled.replace("\n", " ")


def test_numbers_and_grids() -> None:
    assert [number(value) for value in (3.0, -0.0, 1 / 9, -2.5)] == ["3", "0", "0.11", "-2.50"]
    assert grid(np.array([[1, -10], [100, 0]])) == ["  1 -10", "100   0"]


def test_the_arithmetic_needs_no_keras() -> None:
    code = (
        "import sys, cnn_pipeline.explain.convolution.text, cnn_pipeline.explain.inside.findings, "
        "cnn_pipeline.explain.convolution.tour\n"
        "assert not {'keras', 'tensorflow', 'mlflow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
