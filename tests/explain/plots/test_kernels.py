"""The kernels of the first layer."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.explain.plots.kernels import draw_kernels
from tests.explain.pages import inside_the_page, png, texts


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
