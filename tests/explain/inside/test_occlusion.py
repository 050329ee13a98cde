"""Covering finds the pixel that decides, and the figure shows it."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_pipeline.explain.inside.findings import Look
from cnn_pipeline.explain.inside.occlusion import log_odds, look
from cnn_pipeline.explain.inside.occlusion_figure import draw_looks
from tests.explain.inside.networks import SHAPE
from tests.explain.pages import UNDRAWABLE, check

NAMES = tuple(f"class {k}" for k in range(4))


def test_a_look_finds_the_pixel_that_decides() -> None:
    def predict(batch: np.ndarray) -> np.ndarray:
        share = 0.1 + 0.8 * (batch[:, 12, 9, 0] > 0)
        return np.stack([1 - share, share], axis=1)

    image = np.full(SHAPE, 255, np.uint8)
    found = look(predict, image, np.uint8([0]), true=1)
    assert (found.given, found.right, found.size) == (1, True, 4)
    top, left = (found.corners[axis][found.weakest[axis]] for axis in (0, 1))
    assert top <= 12 < top + 4 and left <= 9 < left + 4
    assert found.change.min() == pytest.approx(log_odds(0.1) - log_odds(0.9))
    assert found.covered[found.weakest].argmax() == 0
    assert found.pixels.shape == SHAPE[:2]
    assert np.isfinite(found.pixels).all()
    assert found.pixels[12, 9] == found.pixels.min()
    assert found.pixels[0, 0] == 0
    assert look(predict, image, np.uint8([0])).right is None


def test_certain_answers_have_finite_log_odds() -> None:
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()


def seen(true: int | None) -> Look:
    def predict(batch: np.ndarray) -> np.ndarray:
        share = 0.02 + 0.9 * (batch[:, 12, 9, 0] > 0)
        return np.stack([1 - share, share, 0 * share, 0 * share], axis=1)

    return look(predict, np.full((28, 28, 1), 255, np.uint8), np.uint8([0]), true)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_looks_say_what_covering_changes(count: int) -> None:
    rows = [("right answers", [seen(1)] * count), ("wrong answers", [seen(3)] * count)]
    shown = check(draw_looks(rows, NAMES, "title"))
    assert shown.count("class 1 92.0 %") == 2 * count
    assert shown.count("right") == count
    assert shown.count("in truth class 3") == count
    assert shown.count("class 0 98.0 %") == 2 * count
    assert check(draw_looks(rows, UNDRAWABLE, "title")) == shown
    unknown = check(draw_looks([("", [seen(None)])], NAMES, "title"))
    assert "right" not in unknown


def test_looks_are_orange_where_the_answer_comes_from() -> None:
    figure = draw_looks([("", [seen(1)])], NAMES, "title")
    enlarged = np.asarray(figure.axes[0].images[-1].get_array(), int)
    middles = (2 * np.arange(28) + 1) * len(enlarged) // 56
    overlay = enlarged[middles][:, middles]
    assert overlay[12, 9, 0] > overlay[12, 9, 2] + 40
    assert np.ptp(overlay[27, 27]) < 12  # grey: covering it changes nothing
