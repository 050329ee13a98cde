"""Patches are found where they were put, and the figure marks them."""

from __future__ import annotations

import keras
import numpy as np

from cnn_pipeline.explain.inside.findings import ExcitingPatches
from cnn_pipeline.explain.inside.layers import convolutions
from cnn_pipeline.explain.inside.patches import exciting_patches
from cnn_pipeline.explain.inside.patches_figure import draw_patches
from cnn_pipeline.network.build import build_model
from cnn_pipeline.settings.trial import Variant
from tests.explain.inside.networks import SHAPE
from tests.explain.pages import UNDRAWABLE, check

RNG = np.random.default_rng(0)


NAMES = tuple(f"class {k}" for k in range(4))


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
    assert check(draw_patches(found, images, UNDRAWABLE, "title", kernels)) == shown
    assert {"0", "5", "class 0", "class 3", "answers nothing"} <= set(shown)
    assert "class 1" in shown and shown.count("answers nothing") == 1
    (outlines,) = figure.axes[0].collections
    assert len(outlines.get_segments()) == 3 * 5
    assert any("8x8 pixels" in text for text in shown)


def test_patches_of_many_filters_say_how_many_are_shown() -> None:
    found, images = patches(100, top=1)
    shown = check(draw_patches(found, images, NAMES, "title"), 900_000)
    assert any(text.endswith("the first 80 of 100 filters") for text in shown)
