"""Light on dark, dark on light, or neither: of one picture, and of the images of a data set."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_pipeline.data.drawing import (
    background_of,
    darker_than_background,
    drawing_of,
    measured_drawing,
)

RNG = np.random.default_rng(0)


def drawn(count: int, ground: int, ink: int) -> np.ndarray:
    """uint8 `[count, 8, 8, 1]`: strokes at random places on an even ground."""
    images = np.full((count, 8, 8, 1), ground, np.uint8)
    for image in images:
        top, left = RNG.integers(1, 5, 2)
        image[top : top + 2, left : left + 2] = ink
    return images


@pytest.mark.parametrize(
    ("ground", "ink", "drawing"),
    [
        (0, 255, "light-on-dark"),
        (100, 220, "light-on-dark"),
        (255, 0, "dark-on-light"),
        (180, 30, "dark-on-light"),
        (180, 255, "mixed"),  # a white shirt on light grey
        (100, 0, "mixed"),
        (7, 7, "light-on-dark"),  # an empty dark sheet
    ],
)
def test_images_that_are_drawn_alike(ground: int, ink: int, drawing: str) -> None:
    images = drawn(50, ground, ink)
    assert measured_drawing(images) == drawing
    assert drawing_of(images[0, ..., 0]) == drawing
    assert darker_than_background(images[0, ..., 0]) == (ink < ground)
    assert background_of(images[0]).tolist() == [ground]


@pytest.mark.parametrize(("others", "drawing"), [(1, "light-on-dark"), (2, "mixed")])
def test_one_in_a_hundred_may_be_drawn_another_way(others: int, drawing: str) -> None:
    images = np.concatenate([drawn(100 - others, 0, 255), drawn(others, 255, 0)])
    assert measured_drawing(images) == drawing


def test_large_data_are_measured_in_part_and_from_every_class() -> None:
    images = np.concatenate([drawn(4000, 0, 255), drawn(100, 255, 0)])
    assert measured_drawing(images) == "mixed"
    assert measured_drawing(images[:4000]) == "light-on-dark"


def test_photographs_and_colour_are_never_inverted() -> None:
    slope = np.linspace(0, 255, 8).astype(np.uint8)
    photo = np.broadcast_to(slope, (8, 8))
    assert drawing_of(photo) == "mixed"
    assert measured_drawing(np.repeat(drawn(50, 0, 255), 3, axis=3)) == "mixed"
    noise = RNG.integers(0, 256, (50, 8, 8, 1), dtype=np.uint8)
    assert measured_drawing(noise) == "mixed"
