"""The journey of an image through the layers."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.explain.plots.journey import LayerOutput, draw_journey
from tests.explain.pages import inside_the_page, png, texts
from tests.explain.plots.scripted import NAMES, layers


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
