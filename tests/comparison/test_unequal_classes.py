"""Sweeps that are measured by balanced accuracy or macro F1, on classes of unequal size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.metric_names import Metric
from cnn_pipeline.comparison.compare import compare
from cnn_pipeline.comparison.estimate import Estimate
from cnn_pipeline.comparison.image_weights import image_weights
from cnn_pipeline.comparison.recipes import Answers
from cnn_pipeline.comparison.render import to_markdown, to_text
from cnn_pipeline.comparison.rounds import decide_rounds
from cnn_pipeline.comparison.rounds_text import answer, guarantee
from cnn_pipeline.comparison.types import Comparison, Expected, SweepInfo
from cnn_pipeline.network.image_scores import image_scores, score
from tests.comparison.scripted import outcome

COUNTS = (900, 80, 20)
LABELS = np.repeat([0, 1, 2], COUNTS)
OTHERS: tuple[Metric, ...] = ("balanced_accuracy", "macro_f1")


def answers(rng: np.random.Generator, *recalls: float) -> NDArray[np.int64]:
    """Answers that get this share of each class right."""
    right = rng.random(LABELS.size) < np.array(recalls)[LABELS]
    return np.where(right, LABELS, (LABELS + 1) % 3)


def compared(metric: Metric, seeds: int = 3, **sweep: Any) -> Comparison:
    """f16 says nearly always the large class; f64 knows all three, and has less accuracy."""
    rng = np.random.default_rng(5)
    results, scores = [], {}
    for label, recalls in (("f16-max", (0.99, 0.2, 0.2)), ("f64-max", (0.90, 0.85, 0.85))):
        for seed in range(seeds):
            given = answers(rng, *recalls)
            numbers = {
                name: score(one, LABELS, given)
                for names in (metric_names.TEST, metric_names.VALIDATION)
                for one, name in names.items()
            }
            result, _ = outcome(label, seed=seed, **numbers)
            results.append(result)
            scores[result.name] = image_scores(metric, LABELS, given)
    return compare(
        results,
        scores,
        num_validation=1000,
        classes=LABELS,
        sweep=SweepInfo("id", "unequal", "screws", 1000, metric=metric, **sweep),
    )


def test_the_metric_chooses_the_variant() -> None:
    assert compared("accuracy").verdict.chosen == "f16-max"
    for metric in OTHERS:
        found = compared(metric)
        assert found.verdict.chosen == "f64-max"
        assert found.verdict.better_than == ("f16-max",)
        row = found.ranked[0]
        assert row.test_accuracy == pytest.approx(row.validation_accuracy)


def test_numbers_are_the_metric_and_allow_for_seeds_and_images() -> None:
    found = compared("balanced_accuracy")
    best = found.ranked[0]
    assert best.test_accuracy == pytest.approx(0.87, abs=0.05)
    (pair,) = found.pairwise
    assert pair.basis == "recipes" and not pair.seeds_only and pair.interval is not None
    # 20 images of the rarest class: its recall alone is uncertain by some points.
    assert 0.03 < (pair.interval.high - pair.interval.low) / 2 < 0.5


@pytest.mark.parametrize("metric", OTHERS)
def test_the_metric_has_its_name_wherever_it_is_spoken_of(metric: Metric) -> None:
    name = metric_names.MEASURES[metric]
    found = compared(metric)
    text = to_text(found, details=True)
    said = " ".join(text.split())
    assert f"Test {name} of each recipe" in said
    assert f"Ranked by validation {name}." in said
    assert f"f64-max is significantly better in {name} on test than f16-max" in said
    assert f"Behind: points of test {name} behind the first." in said
    for words in (said, to_markdown(found)):
        assert "more accurate" not in words
        assert "accuracy" not in words.lower().replace(name.lower(), "")


def test_one_seed_says_which_network_reached_most() -> None:
    found = compared("balanced_accuracy", seeds=1)
    assert found.verdict.headline.startswith(
        "f64-max has the highest test balanced accuracy of these two networks (one seed each)."
    )
    (pair,) = found.pairwise
    assert pair.basis == "models" and pair.significant
    assert (pair.right_alone, pair.wrong_alone) == (None, None)
    interval = found.ranked[0].test_interval
    assert interval is not None and interval.low < 0.87 < interval.high


def test_an_expectation_about_accuracy_is_not_checked_by_another_metric() -> None:
    expected = Expected("test_accuracy", "higher", "f16-max")
    found = compared("balanced_accuracy", expectations={"f64-max": (expected,)})
    (check,) = found.expectations
    assert check.outcome == "cannot say"
    assert check.reason == "the sweep is compared by balanced accuracy, not by accuracy"
    (plain,) = compared("accuracy", expectations={"f64-max": (expected,)}).expectations
    assert plain.difference is not None and plain.difference.basis == "recipes"


def test_a_metric_that_was_not_logged_is_named() -> None:
    result, _ = outcome("f16-max")
    found = compare(
        [result],
        {},
        num_validation=10,
        sweep=SweepInfo("id", "old", "screws", 10, metric="balanced_accuracy"),
    )
    assert "its metric val_balanced_accuracy is missing" in found.faults[0].reason


def test_rounds_say_the_metric_and_claim_no_error_rate_for_it() -> None:
    rounds = decide_rounds(
        ("a", "b"),
        (0, 1, 2),
        {("a", 0): 0.9, ("b", 0): 0.5, ("a", 1): 0.9, ("b", 1): 0.5},
        margin=1.0,
        num_validation=1000,
        metric="balanced_accuracy",
    )
    assert "a has the highest validation balanced accuracy" in answer(rounds, rounds.looks[0])
    assert guarantee(rounds) == (
        "How often such an answer is wrong was simulated for accuracy, and is not known for "
        "balanced accuracy."
    )


def test_weights_by_hand() -> None:
    """k = 3, images of weight 1000 / (3 * n)."""
    found = image_weights("balanced_accuracy", LABELS, 1000)
    assert found is not None
    each = 1 / np.array(COUNTS)
    assert found.num_images == pytest.approx(9 / each.sum())
    assert found.freedom == pytest.approx(
        each.sum() ** 2 / (each**2 / (np.array(COUNTS) - 1)).sum()
    )
    assert found.added == pytest.approx(2 * np.mean((1000 * each / 3) ** 2))
    assert image_weights("accuracy", LABELS, 1000) is None
    equal = image_weights("balanced_accuracy", np.repeat([0, 1], 500), 1000)
    assert equal is not None and equal.num_images == pytest.approx(1000)
    assert equal.added == pytest.approx(2)


def test_perfect_answers_are_not_certain() -> None:
    weights = image_weights("balanced_accuracy", LABELS, 1000)
    assert weights is not None
    found = weights.interval(1.0, image_scores("balanced_accuracy", LABELS, LABELS))
    assert found.high == 1.0
    assert found.low == pytest.approx(1 / (1 + 1.96**2 / weights.num_images), abs=1e-4)
    assert weights.num_images == pytest.approx(141.5, abs=0.1)


BASE, LESS = np.array([1.6, 1.0, 0.4]), np.array([1.6, 1.1, 0.6])


def sweep(rng: np.random.Generator, metric: Metric, seeds: int, spread: float) -> Answers:
    """Two equal recipes and another one on 1,000 new images.

    An image is right where its difficulty, most of it shared by all networks, is below what the
    recipe knows of its class; a seed moves that by `spread`.
    """
    labels = rng.choice(3, 1000, p=np.array(COUNTS) / 1000)
    shared = rng.normal(size=1000) * np.sqrt(0.8)
    scores = {}
    for row, knows in enumerate((BASE, BASE, LESS)):
        for seed in range(seeds):
            own = rng.normal(size=1000) * np.sqrt(0.2)
            limit = (knows + spread * rng.normal(size=3))[labels]
            given = np.where(shared + own < limit, labels, (labels + 1 + (own > 0)) % 3)
            scores[row, seed] = image_scores(metric, labels, given)
    means = np.array([[scores[row, seed].mean() for seed in range(seeds)] for row in range(3)])
    weights = image_weights(metric, labels, 1000)
    assert weights is not None
    return Answers(
        ("a", "b", "c"), tuple(range(seeds)), means, scores, image_freedom=weights.freedom
    )


@pytest.mark.parametrize("metric", OTHERS)
@pytest.mark.parametrize(("seeds", "spread"), [(3, 0.1), (5, 0.02)])
def test_intervals_of_rare_classes_hold_95_percent(
    metric: Metric, seeds: int, spread: float
) -> None:
    """Give or take 2.5 standard errors of 250 sweeps, 1.4 % each; or more than that."""
    rng = np.random.default_rng(11)
    held = []
    for _ in range(250):
        found = sweep(rng, metric, seeds, spread).pair(0, 1)
        assert isinstance(found, Estimate) and found.images
        held.append(found.interval.low <= 0 <= found.interval.high)
    assert 0.95 - 0.035 <= np.mean(held) <= 0.995
