"""Training curves show their numbers."""

from __future__ import annotations

import numpy as np

from cnn_pipeline.explain.drawing.page import BLUE, VERMILION
from cnn_pipeline.explain.plots.curves import draw_curves
from tests.explain.pages import inside_the_page, png, texts
from tests.explain.plots.scripted import HISTORY


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
