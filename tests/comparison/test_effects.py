"""Main effects by matched pairs."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_pipeline.comparison.statistics import paired_interval, paired_p_value
from tests.comparison.scripted import NUM_TEST, clear_grid, comparison, failure, outcome, right


def axis_of(found, name):
    return next(axis for axis in found.axes if axis.axis == name)


def effect_of(found, name, level):
    return next(effect for effect in axis_of(found, name).effects if effect.level == level)


def test_the_effect_averages_paired_differences_over_matched_cells():
    found = comparison(*clear_grid(), baseline="f64-max")
    effect = effect_of(found, "filters", "16")
    assert effect.against == "64"
    assert [(p.label, p.against) for p in effect.pairs] == [
        ("f16-max", "f64-max"),
        ("f16-none", "f64-none"),
    ]
    # Per image: f16-max loses images 50..129 of f64-max, f16-none 90..169 of f64-none.
    difference = np.zeros(NUM_TEST)
    difference[50:130] -= 0.5
    difference[90:170] -= 0.5
    assert effect.basis == "models"
    assert effect.estimate == pytest.approx(-0.08)
    assert effect.interval == paired_interval(difference)
    assert effect.p_value == paired_p_value(difference)
    assert effect.validation == pytest.approx(-0.04)


def test_costs_are_geometric_means_of_ratios():
    effect = effect_of(comparison(*clear_grid(), baseline="f64-max"), "pooling", "none")
    assert effect.params_ratio == pytest.approx((20 * 20) ** 0.5)
    assert effect.macs_ratio == pytest.approx((5 * 5) ** 0.5)
    assert effect.seconds_ratio == pytest.approx(1.0)


def test_without_pooling_the_window_is_no_setting():
    found = comparison(*clear_grid())
    assert [axis.axis for axis in found.axes] == ["filters", "pooling"]


def test_pool_size_varies_only_where_there_is_pooling():
    found = comparison(
        outcome("f64-max", correct=right(range(50))),
        outcome("p3", correct=right(range(60)), settings={"pool_size": 3}),
        outcome("f64-none", correct=right(range(70))),
    )
    assert axis_of(found, "pool_size").levels == ("2", "3")
    assert len(effect_of(found, "pooling", "none").pairs) == 2


def test_the_reference_is_the_baselines_level_else_the_first():
    grid = clear_grid()
    assert axis_of(comparison(*grid, baseline="f16-none"), "pooling").reference == "none"
    assert axis_of(comparison(*grid), "filters").reference == "16"
    assert axis_of(comparison(*grid, baseline="gone"), "filters").reference == "16"


def test_levels_are_in_natural_order():
    found = comparison(*(outcome(f"f{n}-max") for n in (128, 8, 16)))
    assert axis_of(found, "filters").levels == ("8", "16", "128")


def test_text_from_mlflow_and_numbers_are_the_same_settings():
    found = comparison(
        outcome("f64-max", settings={"filters": "64", "dropout": "0.0", "batch_norm": "False"}),
        outcome("f64-none", settings={"filters": 64, "dropout": 0, "batch_norm": False}),
    )
    assert [axis.axis for axis in found.axes] == ["pooling"]
    assert len(found.axes[0].effects[0].pairs) == 1


def test_an_incomplete_grid_uses_the_pairs_it_has():
    f64_max, f64_none, f16_max, _ = clear_grid()
    found = comparison(f64_max, f64_none, f16_max, failure("f16-none"), baseline="f64-max")
    assert [p.label for p in effect_of(found, "filters", "16").pairs] == ["f16-max"]


def test_no_matched_pair_is_said_to_be_not_estimable():
    found = comparison(outcome("f16-max"), outcome("f64-none"), baseline="f64-none")
    axis = axis_of(found, "filters")
    assert axis.leader is None
    assert axis.contrasts == ()
    assert axis.effects[0].estimate is None
    assert "not estimable" in axis.effects[0].reason
    assert any(
        s.startswith("Filters: the effect is not estimable") for s in found.verdict.sentences
    )


def test_seeds_must_be_equal_to_match():
    found = comparison(outcome("f16-max", seed=0), outcome("f64-max", seed=1))
    assert axis_of(found, "filters").effects[0].pairs == ()


def seeds(label, wrong, **more):
    return [
        outcome(label, seed=seed, correct=right(range(n)), **more) for seed, n in enumerate(wrong)
    ]


def test_several_seeds_give_a_t_interval_over_seeds():
    found = comparison(
        *seeds("f64-max", [100, 110, 90]), *seeds("f64-none", [120, 140, 130]), baseline="f64-max"
    )
    effect = effect_of(found, "pooling", "none")
    # Differences -0.02, -0.03, -0.04: s.e. 0.01 / sqrt(3), t(0.975; 2) = 4.30265.
    assert (effect.basis, effect.seeds) == ("recipes", (0, 1, 2))
    assert effect.estimate == pytest.approx(-0.03)
    assert effect.interval is not None
    assert effect.interval.low == pytest.approx(-0.03 - 0.0248414, abs=1e-7)
    assert effect.p_value == pytest.approx(0.0351, abs=1e-4)


def test_a_missing_seed_leaves_the_larger_block_of_whole_pairs():
    found = comparison(
        *seeds("f64-max", [100, 110, 90]),
        *seeds("f64-none", [120, 140, 130])[:2],
        failure("f64-none", seed=2),
        *seeds("f16-max", [200, 210, 190]),
        *seeds("f16-none", [220, 240, 230]),
    )
    effect = effect_of(found, "pooling", "none")
    assert (len(effect.pairs), effect.seeds) == (2, (0, 1))


def test_a_pair_with_one_seed_does_not_shorten_the_others():
    found = comparison(
        *seeds("f64-max", [100, 110, 90, 95]),
        *seeds("f64-none", [120, 140, 130, 125]),
        *seeds("f16-max", [200, 210, 190, 195]),
        outcome("f16-none", seed=0, correct=right(range(220))),
    )
    effect = effect_of(found, "pooling", "none")
    assert ([p.label for p in effect.pairs], effect.seeds) == (["f64-none"], (0, 1, 2, 3))


def test_without_predictions_the_effect_has_no_interval_and_says_why():
    found = comparison(
        outcome("f64-max", correct=right(range(90))), outcome("f64-none", test_accuracy=0.9)
    )
    effect = effect_of(found, "pooling", "none")
    assert effect.estimate == pytest.approx(-0.01)
    assert (effect.interval, effect.p_value) == (None, None)
    assert effect.reason == "no paired test is possible: no predictions of f64-none"


def test_the_leader_is_taken_on_validation_and_corrected_over_all_axes():
    found = comparison(*clear_grid())
    filters, pooling = axis_of(found, "filters"), axis_of(found, "pooling")
    assert (filters.leader, pooling.leader) == ("64", "max")
    raw = sorted((filters.contrasts[0].p_value, pooling.contrasts[0].p_value))
    corrected = sorted((filters.contrasts[0].p_corrected, pooling.contrasts[0].p_corrected))
    assert corrected[0] == pytest.approx(2 * raw[0])


def test_variants_that_record_the_same_settings_are_left_out_once():
    found = comparison(
        outcome("f64-max"), outcome("early-stop"), outcome("f64-none"), baseline="f64-max"
    )
    assert [p.against for p in effect_of(found, "pooling", "none").pairs] == ["f64-max"]
    assert any("early-stop records the same settings as f64-max" in note for note in found.notes)
