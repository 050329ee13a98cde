"""What all plots have in common."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cnn_pipeline.explain.drawing.page import png_bytes
from cnn_pipeline.explain.plots.confusion import draw_confusion_matrix
from cnn_pipeline.explain.plots.curves import draw_curves
from cnn_pipeline.explain.plots.journey import draw_journey
from cnn_pipeline.explain.plots.mistakes import draw_misclassified
from cnn_pipeline.network.evaluation import Evaluation
from tests.explain.pages import inside_the_page
from tests.explain.plots.scripted import HISTORY, NAMES, fake_evaluation, layers


def test_long_names_stay_on_the_page() -> None:
    scores = fake_evaluation(10)
    names = tuple("W" * 40 + name for name in scores.class_names)
    wide = Evaluation(names, scores.labels, scores.probabilities)
    images = np.zeros((300, 8, 8, 1), np.uint8)
    assert inside_the_page(draw_confusion_matrix(wide, "W" * 300))
    assert inside_the_page(draw_misclassified(wide, images, "W" * 300))
    assert inside_the_page(draw_journey(layers(1), names, ["W" * 60], "W" * 100))


def test_equal_records_give_equal_bytes_in_threads() -> None:
    def draw(_: int) -> bytes:
        return png_bytes(draw_curves(HISTORY, "a")) + png_bytes(
            draw_journey(layers(), NAMES, ["a", "b", "c"], "t")
        )

    expected = draw(0)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(draw, range(4))) == {expected}


def test_drawing_does_not_touch_global_state() -> None:
    code = (
        "import sys, matplotlib; before = matplotlib.rcParams.copy()\n"
        "from cnn_pipeline.explain.convolution import figure, hand_made_figure\n"
        "from cnn_pipeline.explain.drawing.page import png_bytes\n"
        "from cnn_pipeline.explain.inside import ablation_figure, occlusion_figure\n"
        "from cnn_pipeline.explain.inside import patches_figure\n"
        "from cnn_pipeline.explain.plots import confusion, curves, journey, kernels, mistakes\n"
        "png_bytes(curves.draw_curves({'loss': [1.0, 0.5]}, 't'))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert 'keras' not in sys.modules and 'mlflow' not in sys.modules\n"
        "assert matplotlib.rcParams.copy() == before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
