"""Main effects by matched pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cnn_pipeline.comparison.evidence import family
from cnn_pipeline.comparison.forest import change_text
from cnn_pipeline.comparison.recipes import Answers
from cnn_pipeline.comparison.setting_names import level_text
from cnn_pipeline.comparison.setting_sentences import setting_sentence
from cnn_pipeline.comparison.statistics import Interval, paired_interval
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
    # Two settings of two levels: two effects and an interaction.
    assert near(effect.interval, paired_interval(difference, 1 - 0.05 / 3))
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


def answers_of(outcomes):
    """The estimator's own record of the outcomes, labels in the order in which they come."""
    labels = tuple(dict.fromkeys(result.label for result, _ in outcomes))
    seeds = tuple(sorted({result.seed for result, _ in outcomes}))
    accuracies = np.full((len(labels), len(seeds)), np.nan)
    correct = {}
    for result, right_ones in outcomes:
        cell = labels.index(result.label), seeds.index(result.seed)
        accuracies[cell], correct[cell] = right_ones.mean(), right_ones
    return Answers(labels, seeds, accuracies, correct)


def test_several_seeds_speak_about_recipes_for_all_effects_at_once():
    outcomes = recipes(f64_max=20, f64_none=20)
    found = comparison(*outcomes, baseline="f16-max")
    estimate = answers_of(outcomes).contrast([0.5, 0.5, -0.5, -0.5])
    effect = effect_of(found, "filters", "64")
    assert (effect.basis, effect.seeds, effect.reason) == ("recipes", (0, 1, 2), "")
    assert effect.estimate == pytest.approx(estimate.estimate)
    assert near(
        effect.interval, estimate.within(family(3))
    )  # filters, pooling, and their interaction
    assert effect.significant
    assert not effect_of(found, "pooling", "none").significant


def test_an_interaction_is_a_difference_of_effects():
    outcomes = recipes(interaction=30)
    found = comparison(*outcomes, baseline="f16-max")
    (interaction,) = found.interactions
    assert (interaction.axis, interaction.level, interaction.against) == ("filters", "64", "16")
    assert (interaction.other, interaction.other_level) == ("pooling", "none")
    assert interaction.other_against == "max"
    estimate = answers_of(outcomes).contrast([-1, 1, 1, -1])
    assert interaction.estimate == pytest.approx(estimate.estimate)
    assert near(interaction.interval, estimate.within(family(3)))
    assert interaction.significant


def test_a_significant_interaction_gives_simple_effects():
    """64 filters gain only without pooling, and no pooling only with 64 filters."""
    outcomes = recipes(interaction=30)
    found = comparison(*outcomes, baseline="f16-max")
    simple = {
        (axis.axis, *effect.where.items()): effect for axis in found.axes for effect in axis.simple
    }
    assert list(simple) == [
        ("filters", ("pooling", "max")),
        ("filters", ("pooling", "none")),
        ("pooling", ("filters", "16")),
        ("pooling", ("filters", "64")),
    ]
    assert [effect.significant for effect in simple.values()] == [False, True, False, True]
    gain = simple["filters", ("pooling", "none")]
    assert [(pair.label, pair.against) for pair in gain.pairs] == [("f64-none", "f16-none")]
    assert near(gain.interval, answers_of(outcomes).contrast([0, 1, 0, -1]).within(family(4)))
    assert all(effect.where == {} for axis in found.axes for effect in axis.contrasts)


def test_without_an_interaction_there_are_no_simple_effects():
    found = comparison(*recipes(f64_max=20, f64_none=20))
    assert [interaction.significant for interaction in found.interactions] == [False]
    assert [axis.simple for axis in found.axes] == [(), ()]


def test_no_square_is_no_interaction():
    *three, _ = clear_grid()
    assert comparison(*three).interactions == ()


def test_the_interaction_of_networks_is_a_mean_over_images():
    """Differences of two differences go from -2 to 2."""
    found = comparison(*clear_grid(), baseline="f16-max")
    (interaction,) = found.interactions
    assert (interaction.basis, interaction.estimate) == ("models", pytest.approx(0))
    difference = np.zeros(NUM_TEST)
    difference[50:90] -= 1
    difference[130:170] += 1
    half = paired_interval(difference / 2, 1 - 0.05 / 3)
    assert near(interaction.interval, Interval(2 * half.low, 2 * half.high))
    assert interaction.reason == "one seed says nothing about other seeds"


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
    assert effect.interval is None and not effect.significant
    assert effect.reason == "no predictions of f64-none"


def test_the_leader_is_taken_on_validation():
    found = comparison(*clear_grid())
    filters, pooling = axis_of(found, "filters"), axis_of(found, "pooling")
    assert (filters.leader, pooling.leader) == ("64", "max")


def test_variants_that_record_the_same_settings_are_left_out_once():
    found = comparison(
        outcome("f64-max"), outcome("early-stop"), outcome("f64-none"), baseline="f64-max"
    )
    assert [p.against for p in effect_of(found, "pooling", "none").pairs] == ["f64-max"]
    assert any("early-stop records the same settings as f64-max" in note for note in found.notes)


def test_a_setting_of_the_training_has_effects_and_costs_time():
    def trained(rate: str, seconds: float, wrong: int, seed: int):
        return outcome(
            f"f64-max-lr{rate}",
            seed=seed,
            correct=right(range(wrong + seed)),
            validation=1 - wrong / 1000,
            settings={"learning_rate": rate, "ema_momentum": "none"},
            train_seconds=seconds,
        )

    found = comparison(
        *(trained("0.003", 20.0, 50, seed) for seed in range(3)),
        *(trained("0.01", 30.0, 200, seed) for seed in range(3)),
    )
    axis = axis_of(found, "learning_rate")
    assert (axis.levels, axis.leader) == (("0.003", "0.01"), "0.003")
    told = setting_sentence(axis)
    assert told.startswith("Learning rate: learning rate 0.003 led on validation; on test ")
    assert "significantly better than learning rate 0.01" in told
    assert told.endswith("Learning rate 0.003: 0.67x the training time of learning rate 0.01.")


@pytest.mark.parametrize(
    ("axis", "level", "text"),
    [
        ("learning_rate", "0.003", "learning rate 0.003"),
        ("optimizer", "adamw", "AdamW"),
        ("batch_size", "32", "batch size 32"),
        ("epochs", "1", "1 epoch"),
        ("epochs", "10", "10 epochs"),
        ("schedule", "constant", "constant learning rate"),
        ("schedule", "cosine", "cosine-decayed learning rate"),
        ("schedule", "one-cycle", "one-cycle learning rate"),
        ("activation", "relu", "ReLU"),
        ("augmentation", "none", "no augmentation"),
        ("augmentation", "flip+shift", "random flips and shifts"),
        ("weight_decay", "0", "no weight decay"),
        ("weight_decay", "default", "the optimizer's own weight decay"),
        ("weight_decay", "0.01", "weight decay 0.01"),
        ("ema_momentum", "none", "no moving average"),
        ("class_weights", "none", "no class weights"),
        ("class_weights", "balanced", "balanced class weights"),
        ("ema_momentum", "0.99", "moving average 0.99"),
        ("patience", "3", "patience 3"),
    ],
)
def test_a_level_in_words(axis: str, level: str, text: str):
    assert level_text(axis, level) == text


@pytest.mark.parametrize(
    ("axis", "against", "level", "text"),
    [
        ("filters", "16", "64", "16 -> 64 filters"),
        ("dropout", "0.3", "0.5", "dropout 0.3 -> 0.5"),
        ("schedule", "constant", "cosine", "constant -> cosine-decayed learning rate"),
        ("class_weights", "none", "balanced", "no class weights -> balanced class weights"),
        ("batch_norm", "false", "true", "no batch normalisation -> batch normalisation"),
        ("pooling", "max", "none", "max-pooling -> no pooling"),
    ],
)
def test_a_change_says_once_what_both_levels_share(
    axis: str, against: str, level: str, text: str
) -> None:
    found = comparison(*clear_grid(), baseline="f64-max")
    effect = replace(effect_of(found, "filters", "16"), where={})
    assert change_text(replace(effect, axis=axis, against=against, level=level)) == text
