"""Metrics against scikit-learn's, and their scores against draws of new images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from cnn_pipeline.base.metric_names import Metric
from cnn_pipeline.network.image_scores import image_scores, of_one_answer, score

METRICS: tuple[Metric, ...] = ("accuracy", "balanced_accuracy", "macro_f1")
# 90 images of class 0, of which 81 are right; 8 of 1, of which 4; 2 of 2, of which 1.
LABELS = np.repeat([0, 1, 2], [90, 8, 2])
ANSWERS = np.repeat([0, 1, 1, 0, 2, 0], [81, 9, 4, 4, 1, 1])


def test_by_hand() -> None:
    assert score("accuracy", LABELS, ANSWERS) == 0.86
    assert score("balanced_accuracy", LABELS, ANSWERS) == pytest.approx((0.9 + 0.5 + 0.5) / 3)
    # 2 * hits / (images + answers): 86 answers are class 0, 13 class 1, 1 class 2.
    by_hand = (162 / 176 + 8 / 21 + 2 / 3) / 3
    assert score("macro_f1", LABELS, ANSWERS) == pytest.approx(by_hand)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_as_scikit_learn_and_the_mean_of_the_scores(pairs: list[tuple[int, int]]) -> None:
    """Classes may be missing in the labels, the answers or both."""
    labels, answers = np.array(pairs).T
    theirs = {
        "accuracy": accuracy_score(labels, answers),
        "balanced_accuracy": balanced_accuracy_score(labels, answers),
        "macro_f1": f1_score(labels, answers, average="macro", zero_division=0),
    }
    for metric in METRICS:
        ours = score(metric, labels, answers)
        assert ours == pytest.approx(theirs[metric])
        scores = image_scores(metric, labels, answers)
        assert scores.shape == labels.shape
        assert scores.mean() == pytest.approx(ours)


def test_the_scores_of_accuracy_are_right_and_wrong() -> None:
    scores = image_scores("accuracy", LABELS, ANSWERS)
    assert scores.dtype == np.bool_ and scores.tolist() == (LABELS == ANSWERS).tolist()


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_f1"])
def test_the_variance_of_the_scores_is_that_of_new_images(metric: Metric) -> None:
    """1,500 draws of 1,000 images, 2 % of them of the rarest class; give or take 6 %."""
    rng = np.random.default_rng(7)
    values, variances = [], []
    for _ in range(1500):
        labels = rng.choice(3, 1000, p=[0.9, 0.08, 0.02])
        answers = np.where(rng.random(1000) < 0.8, labels, rng.integers(0, 3, 1000))
        scores = image_scores(metric, labels, answers)
        values.append(scores.mean())
        variances.append(scores.var(ddof=1) / 1000)
    assert np.sqrt(np.mean(variances)) == pytest.approx(np.std(values), rel=0.06)


def test_the_variance_of_balanced_accuracy_is_that_of_its_recalls() -> None:
    """Of each class the unbiased r * (1 - r) / (n - 1), over k squared."""
    scores = image_scores("balanced_accuracy", LABELS, ANSWERS)
    recalls, counts = np.array([0.9, 0.5, 0.5]), np.array([90, 8, 2])
    expected = float((recalls * (1 - recalls) / (counts - 1)).sum()) / 9
    assert scores.var(ddof=1) / 100 == pytest.approx(expected)


@pytest.mark.parametrize("last", [2, 0])
def test_a_class_with_one_image_is_no_certain_one(last: int) -> None:
    """Alone it would vary by nought; with the next smallest class it does not."""
    labels = np.repeat([0, 1, 2], [50, 8, 1])
    answers = np.append(np.repeat([0, 1, 0], [50, 4, 4]), last)
    scores = image_scores("balanced_accuracy", labels, answers)
    assert abs(scores[-1] - scores.mean()) > 1


def test_classes_with_one_image_each_vary_together() -> None:
    scores = image_scores("balanced_accuracy", np.array([0, 1, 1, 2]), np.array([0, 1, 1, 0]))
    assert scores[0] > scores.mean() > scores[3]
    assert scores[1] == scores[2] == pytest.approx(2 / 3)


def test_always_one_answer() -> None:
    assert of_one_answer("accuracy", LABELS) == 0.9
    assert of_one_answer("balanced_accuracy", LABELS) == pytest.approx(1 / 3)
    assert of_one_answer("macro_f1", LABELS) == pytest.approx(180 / 190 / 3)
