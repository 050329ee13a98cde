"""Expectations said before the run, and what became of them."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_pipeline.comparison.compare import describe_sweep
from cnn_pipeline.comparison.statistics import paired_interval
from cnn_pipeline.comparison.types import Expected
from cnn_pipeline.settings.sweep import Entry, Sweep
from cnn_pipeline.settings.trial import Expectation, Variant
from tests.comparison.scripted import NUM_TEST, comparison, failure, near, outcome, recipes, right


def check(metric, direction, *outcomes):
    expectations = {"f16-max": (Expected(metric, direction, "f64-max"),)}
    (found,) = comparison(*outcomes, expectations=expectations).expectations
    return found


GOOD = outcome("f64-max", correct=right(range(50)), num_params=4000, train_seconds=20)


@pytest.mark.parametrize(("direction", "expected"), [("lower", "held"), ("higher", "did not hold")])
def test_an_accuracy_that_significantly_differs_decides(direction, expected):
    found = check("test_accuracy", direction, *recipes(f64_max=50))
    assert found.outcome == expected
    assert found.measured.startswith("-5.10 points (-6.48")
    assert found.difference is not None
    assert found.difference.basis == "recipes"


def test_one_seed_decides_nothing_about_accuracy():
    found = check("test_accuracy", "lower", GOOD, outcome("f16-max", correct=right(range(100))))
    assert found.outcome == "cannot say"
    assert found.reason == "one seed says nothing about other seeds"
    assert found.measured.startswith("-5.00 points (-6.")
    assert found.difference is not None
    assert found.difference.wrong_alone == 50


def test_an_accuracy_within_the_noise_decides_nothing():
    found = check("test_accuracy", "lower", *recipes(f64_max=3))
    assert found.outcome == "cannot say"
    assert found.reason == "no significant difference"


def test_without_predictions_the_reason_is_given():
    found = check("test_accuracy", "lower", GOOD, outcome("f16-max", test_accuracy=0.5))
    assert found.outcome == "cannot say"
    assert "no predictions of f16-max" in found.reason


@pytest.mark.parametrize(
    ("params", "direction", "expected"),
    [
        (1000, "lower", "held"),
        (1000, "higher", "did not hold"),
        (4000, "lower", "did not hold"),
        (4000, "higher", "did not hold"),
    ],
)
def test_parameters_are_exact(params, direction, expected):
    found = check("num_params", direction, GOOD, outcome("f16-max", num_params=params))
    assert found.outcome == expected
    assert found.ratio == params / 4000


@pytest.mark.parametrize(
    ("seconds", "expected"), [(10, "held"), (19, "cannot say"), (30, "did not hold")]
)
def test_one_timing_counts_from_a_clear_gap(seconds, expected):
    found = check("train_seconds", "lower", GOOD, outcome("f16-max", train_seconds=seconds))
    assert found.outcome == expected
    assert bool(found.reason) == (expected == "cannot say")


@pytest.mark.parametrize(("seconds", "expected"), [((15, 25), "cannot say"), ((10, 10.1), "held")])
def test_several_timings_are_tested(seconds, expected):
    found = check(
        "train_seconds",
        "lower",
        *(outcome("f64-max", seed=s, train_seconds=20 + s / 10) for s in (0, 1)),
        *(outcome("f16-max", seed=s, train_seconds=seconds[s]) for s in (0, 1)),
    )
    assert found.outcome == expected


def test_a_failed_variant_decides_nothing():
    found = check("macs", "lower", GOOD, failure("f16-max"))
    assert (found.outcome, found.measured) == ("cannot say", "not measured")
    assert found.reason == "f16-max did not finish"


def test_a_missing_metric_decides_nothing():
    found = check("macs", "lower", GOOD, outcome("f16-max", macs=float("nan")))
    assert found.outcome == "cannot say"
    assert "macs is missing" in found.reason


def test_the_intervals_hold_for_all_expectations_at_once():
    expected = Expected("test_accuracy", "lower", "f64-max")
    outcomes = (
        GOOD,
        outcome("f16-max", correct=right(range(56))),
        outcome("f32-max", correct=right(range(300))),
    )
    alone = comparison(*outcomes, expectations={"f16-max": (expected,)}).expectations[0]
    both = comparison(
        *outcomes, expectations={"f32-max": (expected,), "f16-max": (expected,)}
    ).expectations
    assert [item.label for item in both] == ["f32-max", "f16-max"]
    assert alone.difference is not None
    assert both[1].difference is not None
    # Six losses to none.
    images = np.repeat([-1.0, 0.0], [6, NUM_TEST - 6])
    for found, confidence in ((alone.difference, 0.95), (both[1].difference, 0.975)):
        assert near(found.interval, paired_interval(images, confidence))


def test_a_configured_sweep_is_described():
    sweep = Sweep(
        name="course",
        description="More filters?",
        entries=(
            Entry(),
            Entry(
                variant=Variant(filters=16),
                expect=(Expectation(metric="test_accuracy", direction="lower", against="f64-max"),),
            ),
        ),
        seeds=(0, 1),
    )
    info = describe_sweep(sweep, sweep_id="id", dataset="fashion-mnist", num_test=10_000)
    assert (info.baseline, info.margin) == ("f64-max", 1.0)
    assert (info.name, info.description, info.num_test) == ("course", "More filters?", 10_000)
    assert info.expectations == {"f16-max": (Expected("test_accuracy", "lower", "f64-max"),)}
