"""The choice against every other variant."""

from __future__ import annotations

import pytest

from cnn_pipeline.comparison.statistics import mcnemar_mid_p, welch
from tests.comparison.scripted import comparison, outcome, right


def only(found):
    (difference,) = found.pairwise
    return difference


def test_one_seed_is_a_paired_test_of_two_networks():
    found = only(
        comparison(
            outcome("f64-max", validation=0.92, correct=right(range(20))),
            outcome("f16-max", validation=0.90, correct=right(range(10, 50))),
        )
    )
    assert (found.label, found.against, found.basis) == ("f64-max", "f16-max", "models")
    assert (found.wins, found.losses) == (30, 10)
    assert found.estimate == pytest.approx(0.02)
    assert found.p_value == found.p_corrected == mcnemar_mid_p(30, 10)
    assert found.sure


def test_several_seeds_are_a_welch_test_of_two_recipes():
    ours, theirs = (80, 90, 100), (150, 170)
    found = only(
        comparison(
            *(outcome("f64-max", seed=i, correct=right(range(n))) for i, n in enumerate(ours)),
            *(
                outcome("f16-max", seed=i, validation=0.8, correct=right(range(n)))
                for i, n in enumerate(theirs)
            ),
        )
    )
    expected = welch([1 - n / 1000 for n in ours], [1 - n / 1000 for n in theirs])
    assert (found.basis, found.seeds, found.wins) == ("recipes", (0, 1, 2), None)
    assert found.p_value == pytest.approx(expected.p_value)


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
    assert (found.wins, found.losses) == (8, 0)


def test_networks_of_other_seeds_answer_the_same_images_too():
    found = only(
        comparison(
            outcome("f64-max", seed=0, validation=0.95, correct=right(range(40))),
            outcome("f16-max", seed=7, correct=right(range(50))),
        )
    )
    assert (found.basis, found.wins, found.losses) == ("models", 10, 0)


def test_without_predictions_there_is_no_test_and_a_reason():
    found = only(
        comparison(
            outcome("f64-max", validation=0.95, test_accuracy=0.94),
            outcome("f16-max", correct=right(range(100))),
        )
    )
    assert (found.basis, found.p_value, found.interval) == ("none", None, None)
    assert found.estimate == pytest.approx(0.04)
    assert found.reason == "no paired test is possible: no predictions of f64-max"
    assert not found.sure


def test_seeds_without_spread_are_not_tested():
    found = only(
        comparison(
            *(
                outcome("f64-max", seed=s, validation=0.95, correct=right(range(40)))
                for s in (0, 1)
            ),
            *(outcome("f16-max", seed=s, correct=right(range(50))) for s in (0, 1)),
        )
    )
    assert (found.p_value, found.sure) == (None, False)
    assert "does not vary over the seeds" in found.reason


def test_p_values_are_corrected_for_their_number():
    found = comparison(
        outcome("f64-max", validation=0.95, correct=right(range(40))),
        outcome("f32-max", validation=0.94, correct=right(range(46))),
        outcome("f16-max", validation=0.93, correct=right(range(80))),
    )
    near, far = found.pairwise
    # Six wins to none: p = 2^-6, alone and as the larger of two; the smaller is doubled.
    assert near.p_value == near.p_corrected == pytest.approx(2**-6)
    assert far.p_corrected == pytest.approx(2 * far.p_value)
