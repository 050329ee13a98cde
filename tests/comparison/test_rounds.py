"""The rule that ends the rounds of a sweep: on scripted accuracies, and on simulated ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from cnn_pipeline.comparison.quantiles import dunnett_quantile
from cnn_pipeline.comparison.rounds import Rounds, bounds, decide_rounds
from cnn_pipeline.comparison.rounds_text import (
    answer,
    ending,
    guarantee,
    least_margin,
    paragraph,
)

ABC = ("a", "b", "c")


def decided(
    rows: Mapping[str, Sequence[float | None]], margin: float = 1.0, seeds: int = 10
) -> Rounds:
    """Apply the rule to validation accuracies in per cent, seed by seed."""
    cells = {
        (label, seed): None if value is None else value / 100
        for label, values in rows.items()
        for seed, value in enumerate(values)
    }
    return decide_rounds(tuple(rows), range(seeds), cells, margin=margin, num_validation=5000)


def test_nothing_is_decided_after_one_round() -> None:
    found = decided({"a": [90], "b": [50]})
    assert (found.status, found.rounds, found.trials) == ("open", 1, 2)
    (look,) = found.looks
    assert (look.still_in, look.leader, look.dropped) == (("a", "b"), "a", ())
    assert look.interval is None


def test_a_round_is_complete_when_each_variant_that_is_in_has_ended() -> None:
    assert decided({"a": [90, 90], "b": [89]}).rounds == 1
    assert decided({"a": [90, 90], "b": [89, None]}).rounds == 2


def test_the_bound_is_dunnetts_with_the_spread_of_everything_seen() -> None:
    table = np.array([[0.90, 0.91, 0.92], [0.89, 0.91, 0.90], [0.85, 0.855, np.nan]])
    found = bounds(table, np.array([True, True, False]), 5000)
    assert found is not None
    # accuracy ~ variant + seed, with 5 parameters for 8 accuracies
    cells = [(row, seed) for row in range(3) for seed in range(3) if np.isfinite(table[row, seed])]
    design = [[row == 0, row == 1, row == 2, seed == 1, seed == 2] for row, seed in cells]
    values = [table[cell] for cell in cells]
    _, squares, _, _ = np.linalg.lstsq(np.array(design, dtype=float), values, rcond=None)
    spread = math.sqrt(float(squares[0]) / (8 - 5))
    assert found.spread == pytest.approx(spread, rel=1e-3)
    assert found.leader == 0
    assert found.behind[1] == pytest.approx(0.01)
    half = dunnett_quantile(2, 3, 0.98) * found.spread * math.sqrt(2 / 3)
    assert found.half[1] == pytest.approx(half)
    assert np.isnan(found.behind[2])


def test_seeds_are_blocks() -> None:
    """What all variants have in common with a seed is no spread."""
    found = decided({"a": [90, 92, 88], "b": [88, 90.1, 85.9], "c": [85, 87, 83.1]}, margin=0.1)
    assert found.status == "decided"
    assert [one.label for one in found.dropped] == ["b", "c"]


def test_a_variant_that_trails_is_dropped_and_gets_no_more_seeds() -> None:
    rows = {"a": [90, 90.4, 90.1], "b": [90.0, 90.2, 90.3], "c": [80, 80.2, 99]}
    found = decided(rows, margin=0.05)
    (dropped,) = found.dropped
    assert (dropped.label, dropped.round) == ("c", 2)
    assert dropped.reason.startswith("a leads it by 10.10 points")
    assert set(found.looks[2].still_in) == {"a", "b"}
    assert found.trials == 8


def test_it_ends_when_no_other_can_be_above_the_leader_by_the_margin() -> None:
    rows = {"a": [90, 90.2], "b": [90.05, 90.15], "c": [89.9, 90.2]}
    wide, narrow = decided(rows, margin=1.0), decided(rows, margin=0.01)
    assert (wide.status, narrow.status) == ("decided", "open")
    assert wide.last is not None and wide.last.interval is not None
    assert wide.last.interval.low > -0.01
    assert answer(wide, wide.last).startswith("a is within 1 point of the best")


def test_it_is_not_decided_when_the_seeds_are_used_up() -> None:
    found = decided({"a": [90, 91, 90], "b": [90, 90, 91]}, margin=0.1, seeds=3)
    assert (found.status, found.rounds) == ("not decided", 3)
    assert guarantee(found) == ""
    assert ending(found) == "not decided after 3 rounds (6 trainings)"


def test_two_variants_with_two_seeds_are_not_dropped_by_chance() -> None:
    """One degree of freedom, and accuracies that agree because they are rounded."""
    found = decided({"a": [90.02, 90.02], "b": [90, 90]}, margin=0.01)
    assert found.status == "open" and not found.dropped


def test_a_variant_that_never_finishes_is_dropped_with_its_reason() -> None:
    found = decided({"a": [90, 90.1], "b": [89, 89.3], "c": [None, None]})
    assert ("c", 2, "none of its trials finished") in [
        (one.label, one.round, one.reason) for one in found.dropped
    ]


def test_a_variant_that_failed_once_stays_in() -> None:
    found = decided({"a": [90, 90.1], "b": [None, 90.2], "c": [90.1, 90.3]}, margin=0.01)
    assert found.status == "open"
    assert set(found.looks[-1].still_in) == set(ABC)


def test_it_ends_where_nothing_finishes() -> None:
    found = decided({"a": [None, None], "b": [None, None]})
    assert (found.status, found.rounds) == ("not decided", 2)
    assert found.last is not None and answer(found, found.last) == "No trial has finished yet."


def test_the_paragraph_says_how_they_ended_and_who_was_dropped() -> None:
    scores = {("a", 0): 0.9, ("a", 1): 0.901, ("b", 0): 0.8, ("b", 1): 0.802}
    found = decide_rounds("ab", range(5), scores, margin=1.0, num_validation=5000)
    said = replace(found, answer="a is the best.", guarantee="It is wrong in 5 %.")
    assert paragraph(said, running=False) == (
        "Decided after 2 rounds (4 trainings). a is the best. Dropped: b after round 2. "
        "It is wrong in 5 %."
    )
    one = replace(said, looks=found.looks[:1], trials=2, status="open", guarantee="")
    assert paragraph(one, running=True) == "After 1 round. a is the best."
    stopped = "Not decided: stopped after 1 round (2 trainings). a is the best."
    assert paragraph(one, running=False) == stopped
    assert paragraph(None, running=False) == paragraph(replace(one, looks=()), running=True) == ""


def test_what_is_promised_depends_on_the_validation_images() -> None:
    assert least_margin(5000) == 0.5
    assert least_margin(20_000) == 0.25
    rows = {"a": [90, 90.2, 90.1], "b": [80, 80.1, 80.2]}
    promised, silent = decided(rows), decided(rows, margin=0.4)
    assert promised.status == silent.status == "decided"
    assert guarantee(promised) == (
        "In at most 5 % of such sweeps the variant that is named is more than 1 point worse than "
        "the best."
    )
    assert "at most 11 %" in guarantee(decided(rows, margin=0.5))
    loud = decided({"a": [90, 92, 89], "b": [80, 77, 80], "c": [80, 81, 82]})
    assert loud.status == "decided" and "at most 11 %" in guarantee(loud)
    assert "not known" in guarantee(silent) and "5,000 validation images" in guarantee(silent)


def test_simulated_sweeps_are_decided_early_and_rarely_wrong() -> None:
    """README's means, seeds that spread by 0.5 points, 0.57 of it shared by all variants."""
    from benchmarks.simulate_rounds import Setting, simulate

    found = simulate(Setting(means=(91.44, 91.14, 90.41, 90.1, 89.4, 88.0)), repeats=200)
    assert 12 < found.trainings < 20
    assert found.decided == 1
    assert found.wrong <= 0.02
