"""The most confident mistakes."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.quantities import percent
from cnn_pipeline.explain.plots.mistakes import draw_misclassified
from cnn_pipeline.network.evaluation import Evaluation
from tests.explain.pages import png, texts
from tests.explain.plots.scripted import NAMES, fake_evaluation


@pytest.mark.parametrize("shape", [(28, 28, 1), (48, 32, 3), (200, 300, 1)])
def test_misclassified_shows_the_surest_mistakes_first(shape: tuple[int, int, int]) -> None:
    scores = fake_evaluation(10)
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    image = ((rows + columns) % 256).astype(np.uint8)[..., np.newaxis].repeat(shape[2], axis=2)
    images = np.broadcast_to(image, (300, *shape))
    figure = draw_misclassified(scores, images, "mistakes", columns=4, rows=2)
    wrong = np.flatnonzero(~scores.correct)
    sure = sorted((-scores.probabilities[i].max(), i) for i in wrong)[:8]
    captions = [text for text in texts(figure) if text.startswith("class ")]
    expected = []
    for _, i in sure:
        expected += [NAMES[scores.labels[i]], NAMES[scores.predictions[i]]]
    assert captions == expected
    assert percent(float(-sure[0][0])) in texts(figure)
    assert f"{len(wrong)} of 300 images are wrong; the 8 it was surest of" in texts(figure)
    assert len(figure.axes[0].images) == 2
    png(figure)


def test_no_mistakes_are_said() -> None:
    scores = Evaluation(("a", "b"), np.array([0, 1]), np.eye(2, dtype=np.float32))
    figure = draw_misclassified(scores, np.zeros((2, 8, 8, 1), np.uint8), "none")
    assert "0 of 2 images are wrong" in texts(figure)
    png(figure)


def test_misclassified_needs_the_evaluated_images() -> None:
    with pytest.raises(InvalidInput, match="needs the 300 evaluated images, received 2"):
        draw_misclassified(fake_evaluation(10), np.zeros((2, 8, 8, 1), np.uint8), "t")
