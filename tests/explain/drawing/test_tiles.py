"""Tiles keep their pixels, and colours their scale."""

from __future__ import annotations

import numpy as np

from cnn_pipeline.explain.drawing.tiles import colour, tile


def test_tiles_keep_pixels_sharp_and_proportions() -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    image[:, ::2] = 200
    sheet = tile([image, image], 8, 2, gap=2)
    assert sheet.shape == (12, 27, 3)  # 1.5 file pixels for one of the page
    assert (sheet[:3] == 255).all()  # half as high as wide, hence centred on white
    assert set(np.unique(sheet[3:9, :12])) == {0, 200}


def test_colours_of_an_empty_scale_and_of_nan() -> None:
    low = colour(np.zeros(1), "magma", 0.0, 1.0)
    np.testing.assert_array_equal(colour(np.full(1, 7.0), "magma", 7.0, 7.0), low)
    np.testing.assert_array_equal(colour(np.full(1, np.nan), "magma", 0.0, 1.0), low)
