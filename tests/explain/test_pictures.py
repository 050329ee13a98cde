"""The pictures show the numbers of their records, stay on the page and stay small."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from cnn_pipeline.explain.convolution.arithmetic import convolution_at, pooling_at
from cnn_pipeline.explain.convolution.figure import draw_convolution, draw_pooling
from cnn_pipeline.explain.convolution.hand_made import HAND_MADE
from cnn_pipeline.explain.convolution.hand_made_figure import draw_filtered
from cnn_pipeline.explain.drawing.numbers import plain, signs
from cnn_pipeline.explain.drawing.page import png_bytes
from cnn_pipeline.explain.inside.ablation import summarize
from cnn_pipeline.explain.inside.ablation_figure import draw_ablation
from cnn_pipeline.explain.inside.findings import ExcitingPatches, LayerAblation, Look
from cnn_pipeline.explain.inside.occlusion import look
from cnn_pipeline.explain.inside.occlusion_figure import draw_looks
from cnn_pipeline.explain.inside.patches_figure import draw_patches

RNG = np.random.default_rng(0)
NAMES = tuple(f"class {k}" for k in range(4))
IMAGE = RNG.integers(0, 256, (28, 28)).astype(np.uint8)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def check(figure: Figure, most_bytes: int = 500_000) -> list[str]:
    """Draw it; nothing is cut off at the edge. Returns its texts."""
    figure.draw_without_rendering()
    width, height = figure.canvas.get_width_height()
    for axes in figure.axes:
        for text in axes.texts:
            box = text.get_window_extent()
            inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
            assert inside, text.get_text()
    content = png_bytes(figure)
    assert len(content) < most_bytes
    assert Image.open(BytesIO(content)).format == "PNG"
    return texts(figure)


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


def patches(filters: int, top: int = 4) -> tuple[ExcitingPatches, np.ndarray]:
    images = RNG.integers(0, 256, (9, 28, 28, 1)).astype(np.uint8)
    strengths = np.ones((filters, top))
    strengths[1] = 0
    return (
        ExcitingPatches(
            layer="conv2",
            field=8,
            strengths=strengths,
            images=RNG.integers(0, 9, (filters, top)),
            corners=RNG.integers(-3, 24, (filters, top, 2)),
            patches=RNG.integers(0, 256, (filters, top, 8, 8, 1)).astype(np.uint8),
            favourites=np.where(np.arange(filters) == 1, -1, np.arange(filters) % 4),
        ),
        images,
    )


def test_patches_name_each_filter_and_mark_the_square() -> None:
    found, images = patches(6)
    kernels = RNG.normal(size=(3, 3, 1, 6))
    figure = draw_patches(found, images, NAMES, "title", kernels)
    shown = check(figure)
    assert {"0", "5", "class 0", "class 3", "answers nothing"} <= set(shown)
    assert "class 1" in shown and shown.count("answers nothing") == 1
    (outlines,) = figure.axes[0].collections
    assert len(outlines.get_segments()) == 3 * 5
    assert any("8x8 pixels" in text for text in shown)


def test_patches_of_many_filters_say_how_many_are_shown() -> None:
    found, images = patches(100, top=1)
    shown = check(draw_patches(found, images, NAMES, "title"), 900_000)
    assert any(text.endswith("the first 80 of 100 filters") for text in shown)


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
    change = f"{100 * layer.changes[0]:+.2f}".replace("-", "−")
    assert f"{change} ± {100 * layer.margins[0]:.2f}" in shown
    assert f"class 2 −{100 * layer.hurt_by[0]:.2f}" in shown
    assert any(f"{len(layer.needed)} missed beyond chance" in text for text in shown)
    assert ("missed least" in shown) == (filters > 1)
    assert any("the 128 most missed are shown" in text for text in shown) == (filters == 300)


def seen(true: int | None) -> Look:
    def predict(batch: np.ndarray) -> np.ndarray:
        share = 0.02 + 0.9 * (batch[:, 12, 9, 0] > 0)
        return np.stack([1 - share, share, 0 * share, 0 * share], axis=1)

    return look(predict, np.full((28, 28, 1), 255, np.uint8), np.uint8([0]), true)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_looks_say_what_covering_changes(count: int) -> None:
    rows = [("right answers", [seen(1)] * count), ("wrong answers", [seen(3)] * count)]
    shown = check(draw_looks(rows, NAMES, "title"))
    assert shown.count("class 1 92.0 %") == 2 * count
    assert shown.count("right") == count
    assert shown.count("in truth class 3") == count
    assert shown.count("class 0 98.0 %") == 2 * count
    unknown = check(draw_looks([("", [seen(None)])], NAMES, "title"))
    assert "right" not in unknown


def test_looks_are_orange_where_the_answer_comes_from() -> None:
    figure = draw_looks([("", [seen(1)])], NAMES, "title")
    enlarged = np.asarray(figure.axes[0].images[-1].get_array(), int)
    middles = (2 * np.arange(28) + 1) * len(enlarged) // 56
    overlay = enlarged[middles][:, middles]
    assert overlay[12, 9, 0] > overlay[12, 9, 2] + 40
    assert np.ptp(overlay[27, 27]) < 12  # grey: covering it changes nothing


def test_signs_and_numbers() -> None:
    pixels = signs(np.array([[-2.0, 0.0, 2.0]])).astype(int)
    assert pixels[0, 0, 2] > pixels[0, 0, 0]
    assert pixels[0, 1].min() > 240
    assert pixels[0, 2, 0] > pixels[0, 2, 2]
    assert signs(np.zeros((1, 1))).min() > 240
    numbers = (3.0, -0.0, -12.0, 1 / 9, -0.5, 0.3)
    assert [plain(value) for value in numbers] == ["3", "0", "−12", "1/9", "−1/2", "0.30"]
