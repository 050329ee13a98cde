"""The choice against every other variant."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_pipeline.comparison.quantiles import tukey_quantile
from cnn_pipeline.comparison.recipes import Answers
from cnn_pipeline.comparison.statistics import Interval, paired_interval
from tests.comparison.scripted import NUM_TEST, comparison, near, outcome, recipes, right


def only(found):
    (difference,) = found.pairwise
    return difference


def networks(wins: int, losses: int, confidence: float = 0.95) -> Interval:
    """The interval of two networks, over images."""
    images = np.repeat([1.0, -1.0, 0.0], [wins, losses, NUM_TEST - wins - losses])
    return paired_interval(images, confidence)


def test_one_seed_is_an_interval_of_two_networks_over_images():
    found = only(
        comparison(
            outcome("f64-max", validation=0.92, correct=right(range(20))),
            outcome("f16-max", validation=0.90, correct=right(range(10, 50))),
        )
    )
    assert (found.label, found.against, found.basis) == ("f64-max", "f16-max", "models")
    assert (found.right_alone, found.wrong_alone) == (30, 10)
    assert found.estimate == pytest.approx(0.02)
    assert near(found.interval, networks(30, 10))
    assert found.significant
    assert found.reason == "one seed says nothing about other seeds"


def test_several_seeds_are_about_recipes_for_all_pairs_at_once():
    outcomes = recipes(f64_max=20, f64_none=10)
    found = comparison(*outcomes)
    labels = ("f64-max", "f64-none", "f16-max", "f16-none")
    table = np.array([right_ones.mean() for _, right_ones in outcomes]).reshape(4, 3)
    correct = {divmod(i, 3): right_ones for i, (_, right_ones) in enumerate(outcomes)}
    answers = Answers(labels, (0, 1, 2), table, correct)
    for difference in found.pairwise:
        assert (difference.label, difference.basis, difference.right_alone) == (
            "f64-max",
            "recipes",
            None,
        )
        assert (difference.seeds, difference.seeds_only) == ((0, 1, 2), False)
        expected = answers.pair(0, labels.index(difference.against))
        assert near(difference.interval, expected.simultaneous(4))


def test_two_variants_with_two_seeds_are_four_networks():
    """Their spread over seeds is not known well enough for a claim about recipes."""
    found = only(
        comparison(
            *(
                outcome(label, seed=seed, validation=0.9 - n / 1000, correct=right(range(n + seed)))
                for label, n in (("f64-max", 40), ("f16-max", 80))
                for seed in (0, 1)
            )
        )
    )
    assert (found.basis, found.seeds, found.right_alone) == ("models", (0, 1), None)
    assert found.estimate == pytest.approx(0.04)
    # On 2 of the images with one wrong answer more in seed 1, the mean is a half.
    images = np.repeat([1.0, 0.5, 0.0], [39, 2, NUM_TEST - 41])
    assert near(found.interval, paired_interval(images))
    assert "too few" in found.reason


def test_one_seed_against_several_compares_networks_of_the_same_seed():
    found = only(
        comparison(
            *(
                outcome("f64-max", seed=s, validation=0.95, correct=right(range(40 + s)))
                for s in (0, 1, 2)
            ),
            outcome("f16-max", seed=2, correct=right(range(50))),
        )
    )
    assert (found.basis, found.seeds) == ("models", (2,))
    assert (found.right_alone, found.wrong_alone) == (8, 0)


def test_networks_of_other_seeds_answer_the_same_images_too():
    found = only(
        comparison(
            outcome("f64-max", seed=0, validation=0.95, correct=right(range(40))),
            outcome("f16-max", seed=7, correct=right(range(50))),
        )
    )
    assert found.basis == "models"
    assert near(found.interval, networks(10, 0))
    assert found.reason == "these recipes have no seed in common"


def test_without_predictions_of_one_seed_nothing_is_claimed():
    found = only(
        comparison(
            outcome("f64-max", validation=0.95, test_accuracy=0.94),
            outcome("f16-max", correct=right(range(100))),
        )
    )
    assert (found.basis, found.interval) == ("none", None)
    assert found.estimate == pytest.approx(0.04)
    assert found.reason == "no predictions of f64-max"
    assert not found.significant


def test_metrics_alone_allow_for_new_seeds_only():
    """The part that the test images add is missing, so the interval is shorter, and it is said."""
    whole = comparison(*recipes(f64_max=20))
    bare = comparison(*((result, None) for result, _ in recipes(f64_max=20)))
    for ours, theirs in zip(bare.pairwise, whole.pairwise, strict=True):
        assert (ours.basis, ours.seeds_only) == ("recipes", True)
        assert ours.interval is not None and theirs.interval is not None
        assert ours.interval.high - ours.interval.low < theirs.interval.high - theirs.interval.low
    assert all("do not allow for new images" in note for note in bare.notes)


def test_the_intervals_of_networks_hold_for_all_pairs_at_once():
    found = comparison(
        outcome("f64-max", validation=0.95, correct=right(range(40))),
        outcome("f32-max", validation=0.94, correct=right(range(46))),
        outcome("f16-max", validation=0.93, correct=right(range(80))),
    )
    for difference, more in zip(found.pairwise, (6, 40), strict=True):
        sizes = []
        for interval in (difference.interval, networks(more, 0)):
            assert interval is not None
            sizes.append(interval.high - interval.low)
        assert sizes[0] / sizes[1] == pytest.approx(tukey_quantile(3, np.inf) / 1.959964, rel=1e-4)
    assert [difference.significant for difference in found.pairwise] == [False, True]


def test_a_dropped_variant_is_compared_over_the_seeds_that_it_has():
    outcomes = [
        item for item in recipes(4, f64_max=20) if item[0].label != "f16-max" or item[0].seed < 2
    ]
    found = comparison(*outcomes)
    (dropped,) = (one for one in found.pairwise if one.against == "f16-max")
    assert (dropped.basis, dropped.seeds) == ("recipes", (0, 1))
    others = [one for one in found.pairwise if one is not dropped]
    assert [one.seeds for one in others] == [(0, 1, 2, 3)] * 2
    assert dropped.interval is not None and others[0].interval is not None
    assert (
        dropped.interval.high - dropped.interval.low
        > others[0].interval.high - others[0].interval.low
    )
