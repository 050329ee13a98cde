"""The confusion matrix shows counts, shares and scores."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from cnn_pipeline.explain.plots.confusion import draw_confusion_matrix
from cnn_pipeline.network.evaluation import Evaluation
from tests.explain.pages import inside_the_page, png, texts
from tests.explain.plots.scripted import fake_evaluation


def cells(figure: Figure, k: int) -> np.ndarray:
    """The colours of a matrix `[k, k, 3]`: of its image the pixels in the middle of each cell."""
    image = np.asarray(figure.axes[0].images[0].get_array())
    middles = (2 * np.arange(k) + 1) * len(image) // (2 * k)
    return image[middles][:, middles]


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
