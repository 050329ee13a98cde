"""Grids of numbers."""

from __future__ import annotations

import numpy as np

from cnn_pipeline.explain.drawing.numbers import plain, signs


def test_signs_and_numbers() -> None:
    pixels = signs(np.array([[-2.0, 0.0, 2.0]])).astype(int)
    assert pixels[0, 0, 2] > pixels[0, 0, 0]
    assert pixels[0, 1].min() > 240
    assert pixels[0, 2, 0] > pixels[0, 2, 2]
    assert signs(np.zeros((1, 1))).min() > 240
    numbers = (3.0, -0.0, -12.0, 1 / 9, -0.5, 0.3)
    assert [plain(value) for value in numbers] == ["3", "0", "−12", "1/9", "−1/2", "0.30"]
