"""The pictures of the arithmetic show its numbers."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_pipeline.explain.convolution.arithmetic import convolution_at, pooling_at
from cnn_pipeline.explain.convolution.figure import draw_convolution, draw_pooling
from cnn_pipeline.explain.convolution.hand_made import HAND_MADE
from cnn_pipeline.explain.convolution.hand_made_figure import draw_filtered
from cnn_pipeline.explain.drawing.numbers import plain
from tests.explain.pages import check

RNG = np.random.default_rng(0)


IMAGE = RNG.integers(0, 256, (28, 28)).astype(np.uint8)


@pytest.mark.parametrize("shape", [(28, 28), (40, 20), (12, 60)])
def test_convolution_shows_products_sum_and_relu(shape: tuple[int, int]) -> None:
    image = RNG.integers(0, 256, shape).astype(np.uint8)
    weights = HAND_MADE["vertical"].weights
    steps = [convolution_at(image, weights, 4, 5), convolution_at(image, weights, 8, 9)]
    shown = check(draw_convolution(image, steps, "title", "subtitle"))
    for step in steps:
        for value in [*step.window.ravel(), *step.products.ravel()]:
            assert plain(float(value)) in shown
        assert f"ReLU   max(0, {plain(step.total)}) = {plain(step.output)}" in shown
        sums = [text for text in shown if text.startswith("sum   ")]
        start, end = f"sum   {plain(float(step.products[0, 0]))} ", f" = {plain(step.total)}"
        assert any(text.startswith(start) and text.endswith(end) for text in sums)
    assert f"image, {shape[0]}x{shape[1]}" in shown
    assert f"result after ReLU, {shape[0] - 2}x{shape[1] - 2}" in shown


@pytest.mark.parametrize("size", [2, 3])
def test_pooling_shows_the_window_and_what_is_kept(size: int) -> None:
    numbers = np.round(RNG.uniform(0, 900, (26, 26)))
    step = pooling_at(numbers, 3, 4, size)
    shown = check(draw_pooling(numbers, step, "title", "subtitle"))
    assert {plain(float(value)) for value in step.window.ravel()} <= set(shown)
    assert f"the largest, {plain(step.output)}, is kept" in shown
    assert {f"{size * size} numbers", f"after, {26 // size}x{26 // size}"} <= set(shown)


def test_hand_made_filters_have_their_weights_and_sizes() -> None:
    made = list(HAND_MADE.values())
    figure = draw_filtered([IMAGE, IMAGE[:20]], ["one", "two"], made, "title")
    shown = check(figure)
    assert {"one", "two", "image 20x28", "convolved 18x26", "pooled 9x13"} <= set(shown)
    assert shown.count("1/9") == 9
    assert {made.name for made in HAND_MADE.values()} <= set(shown)
    assert len(figure.axes[0].images) == 5 + 2 * 11  # weights; an image and ten maps, twice
