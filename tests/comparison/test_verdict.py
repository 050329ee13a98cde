"""What the verdict says, and what it must not say."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_pipeline.comparison.types import Expected
from tests.comparison.scripted import clear_grid, comparison, failure, outcome, right


def text(found):
    return " ".join((found.verdict.headline, *found.verdict.sentences))


def test_one_seed_says_which_network_was_right_most_often():
    found = comparison(*clear_grid(), baseline="f64-max")
    verdict = found.verdict
    assert verdict.chosen == verdict.cheapest == "f64-max"
    assert verdict.better_than == ("f64-none", "f16-max", "f16-none")
    assert verdict.basis == "models"
    assert verdict.headline == (
        "f64-max answered most test images right of these four networks (one seed each). Whether "
        "the setting is better is not known: add seeds."
    )
    assert verdict.sentences[0] == (
        "Chosen on 500 validation images: f64-max, 93.00 % right there. On the 1,000 test images "
        "it gets 95.0 % right (95 % interval 93.5-96.2)."
    )
    assert verdict.sentences[1].startswith(
        "Filters: 64 filters led on validation; on test, among these networks, significantly "
        "better than 16 filters (+8.00 points, 95 % "
    )
    assert verdict.sentences[2].startswith("Pooling: max-pooling led on validation; on test, ")


def test_pooling_is_never_told_without_parameters_and_macs():
    for grid in (clear_grid(), clear_grid()[::-1]):
        sentence = next(s for s in comparison(*grid).verdict.sentences if s.startswith("Pooling:"))
        assert (
            "No pooling is not one change: it takes 20.0x the parameters and 5.00x the MACs of "
            "max-pooling." in sentence
        )


def test_no_pooling_that_leads_pays_its_price_in_the_same_words():
    found = comparison(
        outcome("f64-none", validation=0.95, correct=right(range(30)), num_params=2e4, macs=5e4),
        outcome("f64-max", validation=0.90, correct=right(range(90))),
    )
    assert "Pooling: no pooling led on validation" in text(found)
    assert "it takes 20.0x the parameters and 5.00x the MACs of max-pooling" in text(found)


def test_one_seed_speaks_about_these_networks_only():
    said = text(comparison(*clear_grid()))
    assert "about these trained networks on images like these, not about the settings" in said
    assert "--seeds 0,1,2" in said
    assert "'Significantly' means that the printed interval excludes zero" in said


def test_networks_that_are_right_equally_often():
    found = comparison(
        outcome("f64-max", validation=0.9, correct=right(range(90)), macs=5e4),
        outcome("f16-max", validation=0.9, correct=right(range(5, 95)), macs=1e4),
    )
    verdict = found.verdict
    assert (verdict.chosen, verdict.indistinguishable) == ("f16-max", ("f64-max",))
    assert verdict.headline == (
        "f16-max and f64-max answered equally many test images, the most right of these two "
        "networks (one seed each); f16-max is best on validation. Whether the setting is better "
        "is not known: add seeds."
    )
    said = text(found)
    assert "f64-max has exactly the same validation accuracy" in said
    assert "shared the lead on validation" in said
    assert "does not prove them equal" in said


def test_the_cheapest_without_a_significant_difference():
    found = comparison(
        outcome("f64-max", validation=0.93, correct=right(range(50)), macs=4e4, num_params=4e3),
        outcome("f32-max", validation=0.92, correct=right(range(2, 53)), macs=2e4, num_params=2e3),
        outcome("f16-max", validation=0.91, correct=right(range(3, 53)), macs=1e4, num_params=1e3),
        outcome("f8-max", validation=0.90, correct=right(range(200)), macs=5e3, num_params=5e2),
    )
    verdict = found.verdict
    assert (verdict.chosen, verdict.cheapest) == ("f64-max", "f16-max")
    assert verdict.better_than == ("f8-max",)
    assert (
        "If cost matters: f16-max is the cheapest without a significant difference, with 0.25x "
        "the parameters and 0.25x the MACs of f64-max; it gets 95.0 % of the test images "
        "right and may be up to " in text(found)
    )


def test_test_accuracy_that_contradicts_validation_is_said():
    found = comparison(
        outcome("f64-max", validation=0.93, correct=right(range(150))),
        outcome("f16-max", validation=0.92, correct=right(range(50))),
    )
    assert found.verdict.chosen == "f64-max"
    assert found.verdict.worse_than == ("f16-max",)
    assert found.verdict.headline.startswith(
        "f16-max answered most test images right of these two networks (one seed each); f64-max "
        "is best on validation."
    )
    assert "on test, among these networks, significantly worse than 16 filters" in text(found)


def test_a_single_variant():
    found = comparison(outcome("f64-max", correct=right(range(90))))
    assert found.verdict.headline == (
        "f64-max is the only variant that finished: there is nothing to compare it with."
    )
    assert found.pairwise == found.axes == ()
    assert "This rests on one seed" in text(found)
    assert "at once" not in text(found)


def test_a_single_variant_with_several_seeds():
    found = comparison(
        *(outcome("f64-max", seed=s, correct=right(range(90 + s))) for s in range(3))
    )
    assert "This rests on 3 seeds per variant" in text(found)


def test_all_failed():
    found = comparison(failure("f64-max"), failure("f16-max", reason="loss became NaN."))
    assert found.verdict.chosen is None
    assert found.verdict.basis == "none"
    assert found.verdict.headline.startswith("No variant can be chosen")
    assert found.verdict.sentences[1:] == (
        "f16-max is not ranked (FAILED): loss became NaN.",
        "f64-max is not ranked (FAILED): out of memory.",
    )


def test_nothing_at_all():
    assert comparison().verdict.chosen is None


def test_one_failed():
    found = comparison(*clear_grid()[:3], failure("f16-none", reason="out of memory"))
    assert "f16-none is not ranked (FAILED): out of memory." in found.verdict.sentences


def recipe(label, wrong, **more):
    return [outcome(label, seed=i, correct=right(range(n)), **more) for i, n in enumerate(wrong)]


def test_several_seeds_speak_about_recipes():
    found = comparison(
        *recipe("f64-max", [50, 52, 51], validation=0.95),
        *recipe("f16-max", [150, 155, 152], validation=0.85),
    )
    assert found.verdict.basis == "recipes"
    (lead,) = found.pairwise
    assert lead.interval is not None and lead.interval.low > 0.05
    low, high = (f"{100 * end:.1f}" for end in (lead.interval.low, lead.interval.high))
    assert found.verdict.headline == (
        f"Trained again with new seeds and shown new images, f64-max would be {low} to {high} "
        "points better than f16-max."
    )
    said = text(found)
    assert "the intervals allow for new seeds and new images" in said
    assert "mean of 3 seeds" in said
    assert "these trained networks" not in said


def test_two_seeds_say_little():
    found = comparison(
        *recipe("f64-max", [50, 60], validation=0.95),
        *recipe("f16-max", [70, 90]),
        *recipe("f8-max", [75, 72]),
    )
    assert found.verdict.headline.startswith(
        "f64-max is best on validation, without a significant difference from f8-max and f16-max: "
        "trained again with new seeds and shown new images it would be between "
    )


def test_mixed_seeds_say_which_rests_on_what():
    found = comparison(
        *recipe("f64-max", [50, 52, 51], validation=0.95),
        *recipe("f32-max", [90, 95, 92]),
        outcome("f16-max", correct=right(range(200))),
        failure("f16-max", seed=1),
    )
    assert found.verdict.basis == "mixed"
    assert "several seeds for some variants" in text(found)
    assert "f16-max is ranked on 1 of 2 seeds" in text(found)


def test_missing_predictions_are_never_silent():
    found = comparison(
        outcome("f64-max", validation=0.95, test_accuracy=0.95),
        outcome("f16-max", test_accuracy=0.5),
    )
    assert found.verdict.untested == ("f16-max",)
    assert "setting is better is not known" in found.verdict.headline
    assert "f64-max could not be tested against f16-max: no predictions of" in text(found)


def test_unknown_test_accuracy_is_said():
    assert "Its test accuracy is not known." in text(comparison(outcome("f64-max")))


def test_nan_costs_break_nothing():
    found = comparison(
        outcome("f64-max", validation=0.95, correct=right(range(50)), macs=math.nan),
        outcome("f16-max", correct=right(range(52)), num_params=math.nan),
    )
    assert found.verdict.cheapest == "f64-max"
    assert "nan" not in text(found)


def test_pairs_that_disagree_are_told():
    found = comparison(
        outcome("f64-max", validation=0.94, correct=right(range(50))),
        outcome("f64-none", validation=0.90, correct=right(range(200, 300))),
        outcome("f16-max", validation=0.89, correct=right(range(500, 560))),
        outcome("f16-none", validation=0.90, correct=right(range(300, 398))),
    )
    assert "the single pairs run from -0.20 to +1.00 points" in text(found)


def test_many_variants_keep_the_sentence_short():
    found = comparison(
        *(
            outcome(f"f{n}-max", validation=0.9 - n / 1000, correct=right(range(n * 30)))
            for n in range(1, 10)
        )
    )
    sentence = next(s for s in found.verdict.sentences if "more accurate on test than" in s)
    assert sentence.endswith("(+3.00 to +24.00 points; the table has the intervals).")


def test_expectations_are_counted():
    found = comparison(
        *clear_grid(),
        expectations={
            "f16-max": (
                Expected("num_params", "lower", "f64-max"),
                Expected("macs", "higher", "f64-max"),
            )
        },
    )
    assert "Of 2 expectations, 1 held, 1 did not, and 0 cannot be decided." in text(found)


@settings(deadline=None, max_examples=40)
@given(st.permutations(range(8)))
def test_the_order_of_the_results_changes_nothing(order):
    outcomes = [
        *clear_grid(),
        failure("f32-max"),
        outcome("f64-max", seed=1, validation=0.9, correct=right(range(60))),
        outcome("f16-max", seed=1, correct=right(range(3, 200))),
        outcome("f8-max", test_accuracy=0.7),
    ]
    assert comparison(*(outcomes[i] for i in order)) == comparison(*outcomes)


def test_a_test_that_was_drawn_is_said():
    drawn = "179 of 850 images, 20 % of each class, with seed 0"
    found = comparison(*clear_grid(), dataset="icons", test_drawn=drawn)
    said = (
        "icons has no test images of its own, so they were drawn from its images: 179 of 850 "
        "images, 20 % of each class, with seed 0. --split-seed does not change them."
    )
    assert said in found.verdict.sentences
    assert "drawn from" not in " ".join(comparison(*clear_grid()).verdict.sentences)
