"""The first sentence, for every way in which a sweep can end."""

from __future__ import annotations

import pytest

from cnn_pipeline.comparison.headline import headline
from cnn_pipeline.comparison.setting_sentences import setting_sentence
from cnn_pipeline.comparison.statistics import Interval
from cnn_pipeline.comparison.types import (
    AxisEffects,
    Difference,
    Effect,
    MatchedPair,
    Row,
    SweepInfo,
)


def row(label: str, seeds: int = 3, test: float = 0.9) -> Row:
    return Row(label, 1, "FINISHED", "", {}, (), tuple(range(seeds)), (), 0.9, test_accuracy=test)


def ahead(against: str, low: float, high: float) -> Difference:
    """The lead of variant a in points; nothing is known where it begins with NaN."""
    if low != low:
        return Difference("a", against, "none", reason="two seeds are too few")
    interval = Interval(low / 100, high / 100)
    return Difference("a", against, "recipes", (low + high) / 200, interval, seeds=(0, 1, 2))


SWEEP = SweepInfo("id", "grid", "pets", num_test=1000)
AGAIN = "rained again with new seeds and shown new images"
NAN = float("nan")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([ahead("b", 0.1, 0.5)], f"T{AGAIN}, a would be 0.1 to 0.5 points better than b."),
        (
            [ahead("b", 1, 2), ahead("c", 0.04, 3)],
            f"T{AGAIN}, a would be 0.04 to 3.00 points better than c, and significantly better "
            "than b.",
        ),
        (
            [ahead("b", 1, 2), ahead("c", 2, 3), ahead("d", 2, 3), ahead("e", NAN, NAN)],
            f"T{AGAIN}, a would be 1.0 to 2.0 points better than b, and significantly better than "
            "the 2 others; nothing is known against e.",
        ),
        (
            [ahead("b", -0.3, 0.9), ahead("c", -0.1, 1.2), ahead("d", 1, 2)],
            f"a is best on validation, without a significant difference from b and c: t{AGAIN} it "
            "would be between 0.3 points worse and 1.2 points better, and significantly better "
            "than d.",
        ),
        (
            [ahead(name, -1, 2) for name in "bcdef"],
            f"a is best on validation, without a significant difference from 5 others: t{AGAIN} it "
            "would be between 1.0 points worse and 2.0 points better.",
        ),
        (
            [ahead("b", -0.9, -0.2), ahead("c", 1, 2)],
            f"a is best on validation, but t{AGAIN} it would be 0.2 to 0.9 points worse than b.",
        ),
        (
            [ahead("b", NAN, NAN)],
            "a is best on validation. Whether the setting is better is not known: two seeds are "
            "too few.",
        ),
        ([], "a is the only variant that finished: there is nothing to compare it with."),
    ],
)
def test_several_seeds_speak_about_recipes(found: list[Difference], said: str) -> None:
    ranked = [row("a"), *(row(one.against) for one in found)]
    assert headline(SWEEP, ranked, found) == said


def test_one_seed_names_no_better_setting_however_large_the_difference() -> None:
    found = Difference("a", "b", "models", 0.2, Interval(0.1, 0.3), seeds=(0,))
    said = headline(SWEEP, [row("a", 1, 0.9), row("b", 1, 0.7)], [found])
    assert said == (
        "a answered most test images right of these two networks (one seed each). Whether the "
        "setting is better is not known: add seeds."
    )


def effect(where: dict[str, str], low: float, high: float) -> Effect:
    interval = Interval(low / 100, high / 100)
    pairs = (MatchedPair("f64-max", "f16-max", (low + high) / 200),)
    return Effect("filters", "64", "16", "recipes", pairs, (0, 1), (low + high) / 200, interval,
                  where=where)  # fmt: skip


def test_simple_effects_come_before_a_main_effect() -> None:
    simple = (effect({"pooling": "max"}, 1, 3), effect({"pooling": "none"}, -1, 2))
    main = (effect({}, 0.5, 2.5),)
    axis = AxisEffects("filters", "16", ("16", "64"), main, "64", main, simple)
    assert setting_sentence(axis) == (
        "Filters: 64 filters led on validation; on test the effect depends on pooling. With "
        "max-pooling: significantly better than 16 filters (+2.00 points, 95 % +1.00 to +3.00, "
        "1 matched pair, 2 seeds). With no pooling: no significant difference from 16 filters "
        "(+0.50 points, 95 % -1.00 to +2.00, 1 matched pair, 2 seeds). On average: significantly "
        "better than 16 filters (+1.50 points, 95 % +0.50 to +2.50, 1 matched pair, 2 seeds)."
    )
