"""Ranking, intervals, efficiency and failures of the leaderboard."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from cnn_pipeline.comparison.leaderboard import leaderboard
from cnn_pipeline.comparison.recipes import Answers
from cnn_pipeline.comparison.statistics import Interval, wilson_interval
from cnn_pipeline.network.results import TrialResult
from tests.comparison.scripted import (
    NUM_TEST,
    clear_grid,
    comparison,
    failure,
    near,
    outcome,
    recipes,
    right,
)


def row_of(found, label):
    return next(row for row in found.rows if row.label == label)


def test_ranked_by_validation_not_by_test():
    found = comparison(
        outcome("f16-max", validation=0.90, correct=right(range(10))),
        outcome("f64-max", validation=0.91, correct=right(range(300))),
    )
    assert [(row.label, row.rank) for row in found.rows] == [("f64-max", 1), ("f16-max", 2)]


def test_one_seed_has_the_wilson_interval():
    row = row_of(comparison(outcome("f64-max", correct=right(range(91)))), "f64-max")
    assert row.test_accuracy == pytest.approx(0.909)
    assert row.test_interval == wilson_interval(909, NUM_TEST)
    assert row.test_spread is None
    assert row.validation_spread is None


def test_several_seeds_have_means_and_spread():
    wrong = (100, 90, 80)
    found = comparison(
        *(
            outcome(
                "f64-max",
                seed=seed,
                validation=0.90 + seed / 100,
                correct=right(range(wrong[seed])),
                train_seconds=10.0 * (seed + 1),
            )
            for seed in range(3)
        )
    )
    row = row_of(found, "f64-max")
    assert row.seeds == (0, 1, 2)
    assert row.validation_accuracy == pytest.approx(0.91)
    assert row.validation_spread == pytest.approx(0.01)
    assert row.test_accuracy == pytest.approx(0.91)
    assert row.test_spread == pytest.approx(0.01)
    assert row.test_interval is not None
    # Of the seeds alone: t(0.975; 2) * 0.01 / sqrt(3) = 0.0248. Images add to it.
    assert row.test_interval.high - 0.91 == pytest.approx(0.0279, abs=1e-4)
    assert row.train_seconds == pytest.approx(20.0)


def test_several_seeds_have_the_interval_of_the_recipe():
    outcomes = recipes()
    found = comparison(*outcomes)
    answers = Answers(
        ("f64-max", "f64-none", "f16-max", "f16-none"),
        (0, 1, 2),
        np.array([right_ones.mean() for _, right_ones in outcomes]).reshape(4, 3),
        {divmod(i, 3): right_ones for i, (_, right_ones) in enumerate(outcomes)},
    )
    for i, label in enumerate(answers.labels):
        row = row_of(found, label)
        assert near(row.test_interval, answers.one_recipe(i).interval)
        assert row.test_interval == Interval(row.verdict_low, row.verdict_high)


def test_the_interval_of_a_recipe_stays_within_0_and_1():
    found = comparison(
        *(
            outcome(label, seed=seed, correct=right(range(n)))
            for label in ("f64-max", "f16-max")
            for seed, n in enumerate((0, 300, 20))
        )
    )
    interval = row_of(found, "f64-max").test_interval
    assert interval is not None
    assert interval.low < 0.8
    assert interval.high == 1


def test_which_recipes_may_be_best():
    found = comparison(*recipes(f64_max=30, f64_none=29))
    assert {row.label: row.may_be_best for row in found.rows} == {
        "f64-max": True,
        "f64-none": True,
        "f16-max": False,
        "f16-none": False,
    }


def test_which_recipes_equal_the_best_within_the_margin():
    def within(margin: float) -> list[str]:
        found = comparison(*recipes(f64_max=30, f64_none=29), margin=margin)
        return [row.label for row in found.rows if row.within_margin]

    assert within(0.1) == []
    assert within(1) == ["f64-max", "f64-none"]
    assert len(within(20)) == 4


def test_one_seed_says_nothing_about_which_recipe_may_be_best():
    for row in comparison(*clear_grid()).rows:
        assert (row.may_be_best, row.within_margin) == (None, None)


def test_what_more_seeds_would_show():
    """Few seeds show large differences only; the number that shows the margin grows with it."""
    found = [comparison(*recipes(seeds), margin=0.1) for seeds in (2, 3, 5)]
    assert [one.margin for one in found] == [0.1] * 3
    smallest = [one.smallest_difference for one in found]
    assert None not in smallest
    assert smallest == sorted(smallest, reverse=True)
    assert 0.1 < smallest[0] < 2  # percentage points
    assert comparison(*recipes(), margin=smallest[1]).seeds_needed == 3
    assert comparison(*recipes(), margin=smallest[1] / 2).seeds_needed > 3
    assert comparison(*clear_grid()).smallest_difference is None
    assert comparison(*clear_grid()).seeds_needed is None


def test_unequal_spread_is_said():
    rng = np.random.default_rng(3)
    steady = [
        outcome(label, seed=seed, correct=right(range(100 + int(rng.integers(3)))))
        for label in ("f64-max", "f64-none", "f8-max", "f8-none")
        for seed in range(6)
    ]
    wild = [outcome("f16-max", seed=s, correct=right(range(50 + 20 * s))) for s in range(6)]
    assert comparison(*steady).unequal_spread is None
    assert comparison(*steady, *wild).unequal_spread == (
        "apart from what a seed does to all variants alike, the test accuracy of f16-max varies "
        "more over the seeds than that of the others, so differences from it rest on their own "
        "spread"
    )


def test_equal_seeds_give_no_interval():
    found = comparison(*(outcome("f64-max", seed=s, correct=right(range(90))) for s in (0, 1)))
    assert row_of(found, "f64-max").test_interval is None
    assert "no interval can be given" in found.verdict.sentences[0]


def test_efficient_is_what_nothing_beats():
    found = comparison(
        outcome("f64-max", validation=0.92, num_params=4, macs=40),
        outcome("f64-none", validation=0.91, num_params=80, macs=90),  # worse and dearer
        outcome("f32-max", validation=0.90, num_params=2, macs=20),
        outcome("f32-none", validation=0.90, num_params=1, macs=30),  # fewer params, more MACs
        outcome("f16-max", validation=0.90, num_params=2, macs=21),  # as accurate, dearer
    )
    flags = {row.label: row.efficient for row in found.rows}
    assert flags == {
        "f64-max": True,
        "f64-none": False,
        "f32-max": True,
        "f32-none": True,
        "f16-max": False,
    }


def test_equal_variants_are_both_efficient():
    found = comparison(outcome("f16-max"), outcome("f16-none"))
    assert [row.efficient for row in found.rows] == [True, True]


def test_unknown_costs_are_neither_efficient_nor_a_rival():
    found = comparison(
        outcome("f64-max", validation=0.92, macs=math.nan), outcome("f16-max", validation=0.9)
    )
    assert [row.efficient for row in found.rows] == [None, True]


def test_ties_go_to_the_cheaper_variant():
    found = comparison(
        outcome("f16-max", macs=50, num_params=5),
        outcome("f32-max", macs=40, num_params=9),
        outcome("f64-max", macs=40, num_params=8),
    )
    assert [row.label for row in found.rows] == ["f64-max", "f32-max", "f16-max"]


def test_failed_trials_are_listed_with_their_reason_and_never_ranked():
    found = comparison(outcome("f16-max"), failure("f64-max", reason="loss became NaN\nin epoch 2"))
    row = row_of(found, "f64-max")
    assert (row.rank, row.status) == (None, "FAILED")
    assert row.reason == "loss became NaN in epoch 2"
    assert found.rows[-1] is row
    assert [fault.name for fault in found.faults] == ["f64-max-s0"]


def test_a_variant_with_some_failed_seeds_says_so():
    found = comparison(
        outcome("f64-max", seed=0),
        failure("f64-max", seed=1),
        failure("f64-max", seed=2, reason="killed"),
        outcome("f64-max", seed=3),
    )
    row = row_of(found, "f64-max")
    assert (row.rank, row.status) == (1, "PARTIAL")
    assert (row.seeds, row.failed_seeds) == ((0, 3), (1, 2))
    assert row.reason == "2 of 4 seeds failed (seed 1: out of memory; seed 2: killed)"


@pytest.mark.parametrize("value", [math.nan, math.inf, 1.797e308, -0.1, 1.1])
def test_a_validation_accuracy_that_is_none_is_a_failure(value):
    found = comparison(outcome("f64-max", validation=value))
    assert found.rows[0].rank is None
    assert "val_accuracy_final" in found.rows[0].reason


def test_all_killed_is_killed():
    finished, _ = outcome("f64-max")
    killed = TrialResult(finished.name, "f64-max", 0, "run", "KILLED", "", finished.params, {})
    row = comparison((killed, None)).rows[0]
    assert (row.status, row.reason) == ("KILLED", "no reason was recorded")


def test_predictions_decide_where_the_logged_accuracy_differs():
    found = comparison(outcome("f64-max", correct=right(range(91)), test_accuracy=0.5))
    assert found.rows[0].test_accuracy == pytest.approx(0.909)
    assert found.notes == (
        (
            "f64-max-s0: its metric test_accuracy says 0.5000, its predictions give 0.9090; "
            "the predictions are used."
        ),
    )


def test_missing_and_short_predictions_are_noted():
    found = comparison(
        outcome("f16-max", test_accuracy=0.8), outcome("f64-max", correct=right(total=10))
    )
    assert [note.split(",")[0] for note in found.notes] == [
        "f16-max-s0: no predictions on the test images were found",
        "f64-max-s0: its predictions cover 10 test images instead of 1000",
    ]
    assert row_of(found, "f16-max").test_interval == wilson_interval(800, NUM_TEST)


def test_a_missing_test_accuracy_is_noted():
    found = comparison(outcome("f16-max"))
    assert found.rows[0].test_accuracy is None
    assert "f16-max-s0: its test accuracy is missing or no share from 0 to 1." in found.notes


def test_the_same_trial_twice_is_refused():
    with pytest.raises(ValueError, match="f64-max seed 0"):
        comparison(outcome("f64-max"), outcome("f64-max"))


def test_answers_must_be_booleans():
    with pytest.raises(ValueError, match="vector of booleans, received int64"):
        comparison(outcome("f64-max", correct=np.ones(NUM_TEST, dtype=np.int64)))


def test_images_are_needed():
    with pytest.raises(ValueError, match="num_test=0"):
        comparison(num_test=0)


def test_the_table_in_pandas():
    frame = leaderboard(comparison(*clear_grid(), failure("f32-max")))
    assert list(frame["label"]) == ["f64-max", "f64-none", "f16-max", "f16-none", "f32-max"]
    assert list(frame["filters"]) == ["64", "64", "16", "16", "32"]
    assert frame["rank"].tolist()[:4] == [1, 2, 3, 4]
    assert frame["rank"].isna().tolist() == [False] * 4 + [True]
    assert frame["num_params"].dtype == pd.Int64Dtype()
    assert frame["test_low"][0] < frame["test_accuracy"][0] < frame["test_high"][0]


@pytest.mark.parametrize("outcomes", [(), (failure("f64-max"),)])
def test_the_table_without_any_finished_trial(outcomes):
    assert len(leaderboard(comparison(*outcomes))) == len(outcomes)


def test_no_mark_contradicts_an_interval_beside_it():
    for better in range(32, 48, 2):
        found = comparison(*recipes(f64_max=30, f64_none=better))
        lead = found.pairwise[0]
        behind = row_of(found, lead.against)
        assert lead.interval is not None and lead.estimate is not None and lead.estimate >= 0
        assert behind.may_be_best == (not lead.significant)
        assert behind.within_margin == (100 * lead.interval.high <= found.margin)


def test_variants_of_one_seed_on_different_processors_are_said():
    def on(device, label, seed):
        result, correct = outcome(label, seed=seed, correct=right())
        return dataclasses.replace(result, device=device), correct

    made = [on("A", "f16-max", 0), on("B", "f32-max", 0), on("", "f64-max", 0)]
    said = "Variants were trained on different processors with the same seed (A, B)"
    assert any(note.startswith(said) for note in comparison(*made).notes)
    apart = [on("A", "f16-max", 0), on("A", "f32-max", 0), on("B", "f16-max", 1)]
    assert not any("different processors" in note for note in comparison(*apart).notes)
