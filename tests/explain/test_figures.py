"""Figures show the numbers of their records and render to small PNG files."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.quantities import percent
from cnn_pipeline.explain.drawing.page import (
    BLUE,
    DENSITY,
    VERMILION,
    new_page,
    place,
    png_bytes,
    write,
)
from cnn_pipeline.explain.drawing.tiles import colour, tile
from cnn_pipeline.explain.plots.confusion import draw_confusion_matrix
from cnn_pipeline.explain.plots.curves import draw_curves
from cnn_pipeline.explain.plots.journey import LayerOutput, draw_journey
from cnn_pipeline.explain.plots.kernels import draw_kernels
from cnn_pipeline.explain.plots.mistakes import draw_misclassified
from cnn_pipeline.network.evaluation import Evaluation

HISTORY = {
    "accuracy": [0.70, 0.85, 0.90, 0.91],
    "val_accuracy": [0.80, 0.86, 0.89, 0.88],
    "loss": [0.9, 0.5, 0.4, 0.3],
    "val_loss": [0.6, 0.5, 0.45, 0.47],
}
MAX_BYTES = 400_000


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def png(figure: Figure) -> Image.Image:
    content = png_bytes(figure)
    assert len(content) < MAX_BYTES
    picture = Image.open(BytesIO(content))
    picture.load()
    assert picture.format == "PNG"
    return picture.convert("RGB")


def inside_the_page(figure: Figure) -> bool:
    """Whether no text is cut off at the edge of the figure."""
    figure.draw_without_rendering()
    width, height = figure.canvas.get_width_height()
    boxes = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    return all(b.x0 >= 0 and b.y0 >= 0 and b.x1 <= width and b.y1 <= height for b in boxes)


def cells(figure: Figure, k: int) -> np.ndarray:
    """The colours of a matrix `[k, k, 3]`: of its image the pixels in the middle of each cell."""
    image = np.asarray(figure.axes[0].images[0].get_array())
    middles = (2 * np.arange(k) + 1) * len(image) // (2 * k)
    return image[middles][:, middles]


def fake_evaluation(k: int, n: int = 300, strength: float = 3.0) -> Evaluation:
    rng = np.random.default_rng(k)
    labels = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), labels] += strength
    rows = np.exp(logits)
    probabilities = (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)
    return Evaluation(tuple(f"class {i}" for i in range(k)), labels, probabilities)


def layers(n: int = 3, filters: int = 64) -> list[LayerOutput]:
    rng = np.random.default_rng(0)

    def maps(size: int) -> np.ndarray:
        return np.maximum(rng.normal(size=(n, size, size, filters)), 0).astype(np.float32)

    first, second = maps(26), maps(11)
    pooled = first.reshape(n, 13, 2, 13, 2, filters).max(axis=(2, 4))
    small = second[:, :10, :10].reshape(n, 5, 2, 5, 2, filters).max(axis=(2, 4))
    return [
        LayerOutput("input", "pixels", rng.integers(0, 256, (n, 28, 28, 1)).astype(np.uint8)),
        LayerOutput("conv_1", "convolution 3x3, ReLU", first),
        LayerOutput("pool_1", "max-pooling 2x2", pooled),
        LayerOutput("conv_2", "convolution 3x3, ReLU", second),
        LayerOutput("pool_2", "max-pooling 2x2", small),
        LayerOutput("flatten", "one row", small.reshape(n, -1)),
        LayerOutput("dense", "dense, ReLU", np.maximum(rng.normal(size=(n, 128)), 0)),
        LayerOutput("classes", "softmax", fake_evaluation(10, n).probabilities),
    ]


NAMES = tuple(f"class {i}" for i in range(10))


def test_curves_draw_the_four_series() -> None:
    figure = draw_curves(HISTORY, "a title")
    _, accuracy, loss = figure.axes
    for axes, metric in ((accuracy, "accuracy"), (loss, "loss")):
        training, validation = axes.lines
        assert training.get_color() == VERMILION
        assert list(training.get_ydata()) == HISTORY[metric]
        assert validation.get_color() == BLUE
        assert list(validation.get_ydata()) == HISTORY[f"val_{metric}"]
        assert list(training.get_xdata()) == [0, 1, 2, 3]
    shown = texts(figure)
    assert "a title" in shown
    assert any(text.startswith("best validation accuracy 89.00 % in epoch 2;") for text in shown)
    assert {"training 91.0 %", "validation 88.0 %", "training 0.300", "validation 0.470"} <= set(
        shown
    )
    assert inside_the_page(figure)
    png(figure)


def test_labels_at_the_ends_of_near_lines_do_not_overlap() -> None:
    figure = draw_curves({"loss": [1.0, 0.5], "val_loss": [2.0, 0.5001]}, "t")
    figure.draw_without_rendering()
    training, validation = (text.get_window_extent() for text in figure.axes[2].texts)
    assert validation.y0 >= training.y1 - 1


def test_curves_of_a_diverged_run_leave_gaps() -> None:
    history = {"loss": [2.0, float("nan"), float("inf")], "accuracy": [0.1, 0.2, 0.2]}
    figure = draw_curves(history, "diverged")
    assert "training 2.000" in texts(figure)
    (line,) = figure.axes[2].lines
    assert np.isnan(line.get_ydata()[1:]).all()
    png(figure)
    empty = draw_curves({}, "nothing")
    assert texts(empty).count("no finite values") == 2
    png(empty)


def test_the_confusion_matrix_prints_counts_and_shares() -> None:
    labels = np.array([0, 0, 0, 0, 1])
    answers = np.eye(2, dtype=np.float32)[[0, 0, 0, 1, 1]]
    figure = draw_confusion_matrix(Evaluation(("a $x^2$", "b"), labels, answers), "matrix")
    shown = texts(figure)
    assert shown.count("3") == 1
    assert shown.count("1") == 2
    assert {"75.0 %", "100.0 %", "50.0 %"} <= set(shown)
    assert shown.count("a $x^2$") == 2
    assert not any(t.get_parse_math() for t in figure.axes[0].texts)
    pixels = cells(figure, 2)
    assert pixels[1, 0].tolist() == [250, 250, 250]  # never happened
    assert pixels[0, 0].sum() < pixels[0, 1].sum()  # three of four is darker than one of four
    assert pixels[1, 1].sum() < pixels[0, 0].sum()  # one of one is darker than three of four
    assert inside_the_page(figure)


@pytest.mark.parametrize("k", [2, 10, 30, 100])
def test_the_confusion_matrix_takes_any_number_of_classes(k: int) -> None:
    figure = draw_confusion_matrix(fake_evaluation(k), "any")
    shown = figure.axes[0].images[0].get_array()
    sides = (2 * np.arange(len(shown)) + 1) * k // (2 * len(shown))
    np.testing.assert_array_equal(shown, cells(figure, k)[sides][:, sides])
    assert inside_the_page(figure)
    png(figure)


def test_long_names_stay_on_the_page() -> None:
    scores = fake_evaluation(10)
    names = tuple("W" * 40 + name for name in scores.class_names)
    wide = Evaluation(names, scores.labels, scores.probabilities)
    images = np.zeros((300, 8, 8, 1), np.uint8)
    assert inside_the_page(draw_confusion_matrix(wide, "W" * 300))
    assert inside_the_page(draw_misclassified(wide, images, "W" * 300))
    assert inside_the_page(draw_journey(layers(1), names, ["W" * 60], "W" * 100))


@pytest.mark.parametrize("shape", [(28, 28, 1), (48, 32, 3), (200, 300, 1)])
def test_misclassified_shows_the_surest_mistakes_first(shape: tuple[int, int, int]) -> None:
    scores = fake_evaluation(10)
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    image = ((rows + columns) % 256).astype(np.uint8)[..., np.newaxis].repeat(shape[2], axis=2)
    images = np.broadcast_to(image, (300, *shape))
    figure = draw_misclassified(scores, images, "mistakes", columns=4, rows=2)
    wrong = np.flatnonzero(~scores.correct)
    sure = sorted((-scores.probabilities[i].max(), i) for i in wrong)[:8]
    captions = [text for text in texts(figure) if text.startswith("class ")]
    expected = []
    for _, i in sure:
        expected += [NAMES[scores.labels[i]], NAMES[scores.predictions[i]]]
    assert captions == expected
    assert percent(float(-sure[0][0])) in texts(figure)
    assert f"{len(wrong)} of 300 images are wrong; the 8 it was surest of" in texts(figure)
    assert len(figure.axes[0].images) == 2
    png(figure)


def test_no_mistakes_are_said() -> None:
    scores = Evaluation(("a", "b"), np.array([0, 1]), np.eye(2, dtype=np.float32))
    figure = draw_misclassified(scores, np.zeros((2, 8, 8, 1), np.uint8), "none")
    assert "0 of 2 images are wrong" in texts(figure)
    png(figure)


def test_misclassified_needs_the_evaluated_images() -> None:
    with pytest.raises(InvalidInput, match="needs the 300 evaluated images, received 2"):
        draw_misclassified(fake_evaluation(10), np.zeros((2, 8, 8, 1), np.uint8), "t")


@pytest.mark.parametrize(
    "shape", [(3, 3, 1, 64), (3, 3, 1, 1), (5, 5, 3, 16), (1, 1, 1, 5), (3, 3, 1, 1024)]
)
def test_kernels_of_any_number(shape: tuple[int, ...]) -> None:
    figure = draw_kernels(np.random.default_rng(0).normal(size=shape), "kernels")
    filters = shape[3]
    said = f"{filters:,} filter{'s' if filters > 1 else ''} of {shape[0]}x{shape[1]}x{shape[2]}"
    assert any(text.startswith(said) for text in texts(figure))
    assert inside_the_page(figure)
    png(figure)


def test_kernels_of_zeros_are_white_and_signs_differ() -> None:
    zeros = draw_kernels(np.zeros((3, 3, 1, 4)), "dead")
    png(zeros)
    weights = np.array([-1.0, 0.0, 1.0, 0.0]).reshape(2, 2, 1, 1)
    tiles = np.asarray(draw_kernels(weights, "signs").axes[0].images[0].get_array(), int)
    negative, positive = tiles[0, 0], tiles[-1, 0]
    assert negative[2] > negative[0]  # violet
    assert positive[0] > positive[2]  # orange
    assert tiles[0, -1].min() > 240  # white


def test_kernels_refuse_other_shapes() -> None:
    with pytest.raises(InvalidInput, match=r"received shape \[3, 3, 64, 64\]"):
        draw_kernels(np.zeros((3, 3, 64, 64)), "t")


def test_the_journey_says_what_each_layer_did_to_the_size() -> None:
    figure = draw_journey(layers(), NAMES, ["boot", "boot", "shoe"], "journey")
    shown = texts(figure)
    for expected in [
        "28x28x1",
        "26x26x64",
        "conv_1: convolution 3x3, ReLU",
        "28x28 to 26x26",
        "2 pixels lost at the border",
        "18 of 64 maps",
        "13x13x64",
        "halved",
        "11x11x64",
        "5x5x64",
        "11x11 to 5x5",
        "halved, the odd edge dropped",
        "1,600",
        "all maps laid out in a row",
        "128",
        "1,600 numbers to 128",
        "128 numbers to 10",
    ]:
        assert expected in shown
    assert shown.count("boot") == 2
    assert len(figure.axes[0].images) == 3 * 7
    assert inside_the_page(figure)
    png(figure)


def test_pooling_shows_the_maps_of_its_convolution() -> None:
    """Maps 20 and 30 have contrast, 31 only a high level: 0 to 15, 20 and 30 are shown."""
    convolved = np.zeros((3, 26, 26, 32))
    convolved[:, ::2, ::2, [20, 30]] = 1.0
    convolved[..., 31] = 5.0
    pooled = np.zeros((3, 13, 13, 32))
    pooled[:, ::2, :, :18] = 1.0  # by their own contrast, other maps would be chosen
    pooled[:, :6, :, 30] = 1.0
    steps = [
        layers()[0],
        LayerOutput("conv_1", "convolution 3x3", convolved),
        LayerOutput("pool_1", "max-pooling 2x2", pooled),
        layers()[-1],
    ]
    images = draw_journey(steps, NAMES, ["one", "two", "three"], "t").axes[0].images
    last = np.asarray(images[6].get_array())[-69:, -69:]  # 46 pixels of the page
    assert (last[:30, :, 0] > 240).all()
    assert (last[35:] < 10).all()


@pytest.mark.parametrize(("n", "maps"), [(1, 64), (2, 27), (3, 18)])
def test_fewer_images_show_more_maps(n: int, maps: int) -> None:
    titles = [f"image {i}" for i in range(n)]
    figure = draw_journey(layers(n), NAMES, titles, "journey")
    assert texts(figure).count(f"{maps} of 64 maps") == 4
    assert inside_the_page(figure)
    png(figure)


def test_a_journey_without_pooling_and_one_image() -> None:
    plain = [layer for layer in layers(1, 5) if not layer.name.startswith(("pool", "conv_2"))]
    figure = draw_journey(plain, NAMES, ["one"], "a" * 100)
    assert "5 of 5 maps" in texts(figure)
    assert inside_the_page(figure)
    png(figure)


def test_a_journey_of_six_convolutions_stays_small() -> None:
    rng = np.random.default_rng(0)
    deep = [layers()[0]]
    for i, size in enumerate(range(26, 14, -2)):
        noise = rng.normal(size=(3, size, size, 8)).cumsum(axis=1).cumsum(axis=2)
        deep.append(LayerOutput(f"conv_{i}", "convolution 3x3", np.maximum(noise, 0)))
    figure = draw_journey([*deep, layers()[-1]], NAMES, ["a", "b", "c"], "deep")
    assert texts(figure).count("8 of 8 maps") == 6
    png(figure)


def test_dead_and_not_finite_maps_are_drawn() -> None:
    broken = layers()
    broken[1].values[:] = 0
    broken[3].values[0] = np.nan
    broken[6].values[1] = np.inf
    png(draw_journey(broken, NAMES, ["a", "b", "c"], "broken"))


def test_wrong_journeys_are_refused_with_all_faults() -> None:
    good = layers()
    with pytest.raises(InvalidInput) as caught:
        draw_journey([good[1], good[2]], NAMES, ["a", "b", "c"], "t")
    assert len(caught.value.faults) == 2
    assert "first layer must be the pixels" in caught.value.faults[0]
    assert "last layer must be the probabilities [3, 10]" in caught.value.faults[1]
    with pytest.raises(InvalidInput, match="needs the input and the probabilities, received 0"):
        draw_journey([], NAMES, ["a"], "t")
    with pytest.raises(InvalidInput, match="at least one image"):
        draw_journey(good, NAMES, [], "t")


def test_equal_records_give_equal_bytes_in_threads() -> None:
    def draw(_: int) -> bytes:
        return png_bytes(draw_curves(HISTORY, "a")) + png_bytes(
            draw_journey(layers(), NAMES, ["a", "b", "c"], "t")
        )

    expected = draw(0)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(draw, range(4))) == {expected}


def test_drawing_does_not_touch_global_state() -> None:
    code = (
        "import sys, matplotlib; before = matplotlib.rcParams.copy()\n"
        "from cnn_pipeline.explain import plots\n"
        "png_bytes(draw_curves({'loss': [1.0, 0.5]}, 't'))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert 'keras' not in sys.modules and 'mlflow' not in sys.modules\n"
        "assert matplotlib.rcParams.copy() == before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tiles_keep_pixels_sharp_and_proportions() -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    image[:, ::2] = 200
    sheet = tile([image, image], 8, 2, gap=2)
    assert sheet.shape == (12, 27, 3)  # 1.5 file pixels for one of the page
    assert (sheet[:3] == 255).all()  # half as high as wide, hence centred on white
    assert set(np.unique(sheet[3:9, :12])) == {0, 200}


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        (None, (0, 1, 2, 3), (0, 1, 2, 3, 4, 5)),  # as it is
        ((8, 16 / 3), (0, 0, 1, 1, 2, 2, 3, 3), (0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5)),  # repeated
        ((2, 2), (0, 2, 3), (1, 3, 5)),  # left out
    ],
)
def test_a_placed_picture_stands_upright_and_keeps_its_pixels(
    size: tuple[float, float] | None, rows: tuple[int, ...], columns: tuple[int, ...]
) -> None:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    figure, page = new_page(200, 100, "")
    place(page, 40, 60, pixels, size)
    drawn = np.asarray(png(figure))
    top, left = round(60 * DENSITY), round(40 * DENSITY)
    found = drawn[top : top + len(rows), left : left + len(columns)]
    np.testing.assert_array_equal(found, pixels[list(rows)][:, list(columns)])
    assert np.count_nonzero((drawn != 255).any(axis=2)) == len(rows) * len(columns)


@pytest.mark.parametrize("side", [26, 27])
@pytest.mark.parametrize("at", [40, 41, 43])
@pytest.mark.parametrize("height", [100, 101])
def test_a_placed_picture_has_its_size_at_every_place(side: int, at: int, height: int) -> None:
    """On odd places a corner falls between two pixels of the file."""
    pixels = np.full((side, side, 3), 7, np.uint8)
    pixels[[0, -1]] = pixels[:, [0, -1]] = 9
    figure, page = new_page(200, height, "")
    place(page, at, at, pixels)
    drawn = np.asarray(png(figure))
    rows, columns = np.nonzero((drawn != 255).any(axis=2))
    found = drawn[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    np.testing.assert_array_equal(found, pixels)
    assert abs(rows.min() - at * DENSITY) <= 1 and abs(columns.min() - at * DENSITY) <= 1


def test_colours_of_an_empty_scale_and_of_nan() -> None:
    low = colour(np.zeros(1), "magma", 0.0, 1.0)
    np.testing.assert_array_equal(colour(np.full(1, 7.0), "magma", 7.0, 7.0), low)
    np.testing.assert_array_equal(colour(np.full(1, np.nan), "magma", 0.0, 1.0), low)


@pytest.mark.parametrize("letter", ["i", "W"])
def test_writing_is_cut_to_its_room(letter: str) -> None:
    _, page = new_page(400, 100, "t")
    assert write(page, 0, 50, letter, 100).get_text() == letter
    cut = write(page, 0, 50, letter * 200, 100)
    assert cut.get_text().rstrip("…") == letter * (len(cut.get_text()) - 1)
    width = cut.get_window_extent().width / 1.5
    assert 80 < width <= 100
