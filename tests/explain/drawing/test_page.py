"""A page places pictures and text exactly."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_pipeline.explain.drawing.page import DENSITY, new_page, place, write
from tests.explain.pages import png


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


@pytest.mark.parametrize("letter", ["i", "W"])
def test_writing_is_cut_to_its_room(letter: str) -> None:
    _, page = new_page(400, 100, "t")
    assert write(page, 0, 50, letter, 100).get_text() == letter
    cut = write(page, 0, 50, letter * 200, 100)
    assert cut.get_text().rstrip("…") == letter * (len(cut.get_text()) - 1)
    width = cut.get_window_extent().width / 1.5
    assert 80 < width <= 100
