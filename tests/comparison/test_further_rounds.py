"""How many more rounds are expected, from means and a spread."""

import pytest

from cnn_pipeline.comparison.further_rounds import further_rounds, half_width

# How far the README's six variants are behind the best one, as shares.
README = {"a": 0.0, "b": 0.0031, "c": 0.008, "d": 0.009, "e": 0.0121, "f": 0.0187}


def sizes(behind: dict[str, float], spread: float, **given: float) -> list[int]:
    settings = {"num_variants": len(behind), "done": 0, "most": 100, "decide": 0.01, **given}
    return [len(one) for one in further_rounds(behind, spread, **settings)]  # type: ignore[arg-type]


def test_the_readmes_variants_are_decided_in_18_trainings() -> None:
    """As in the simulation of the whole method, at a spread of half a point."""
    assert sum(sizes(README, 0.005)) == 18


def test_at_least_two_rounds_even_without_any_spread() -> None:
    assert sizes(README, 1e-9) == [6, 6]


def test_a_clear_leader_is_alone_after_two_rounds() -> None:
    assert sizes({"a": 0.0, "b": 0.2, "c": 0.3}, 0.004) == [3, 3]


def test_what_is_clearly_worse_is_dropped() -> None:
    rounds = sizes(README, 0.005, decide=0.003)
    assert rounds == sorted(rounds, reverse=True)
    assert rounds[0] == 6 and rounds[-1] == 2


def test_rounds_that_have_ended_are_not_counted_again() -> None:
    whole = sizes(README, 0.005, decide=0.005)
    assert sizes(README, 0.005, decide=0.005, done=2)[0] == 6
    assert len(sizes(README, 0.005, decide=0.005, done=2)) == len(whole) - 2


def test_the_cap_ends_them() -> None:
    assert len(sizes({"a": 0.0, "b": 0.0}, 0.01, most=7)) == 7


def test_a_finer_margin_and_a_larger_spread_need_more() -> None:
    equal = dict.fromkeys("abcdef", 0.0)
    few, more = (len(sizes(equal, spread)) for spread in (0.003, 0.006))
    assert few < more < len(sizes(equal, 0.006, decide=0.005))


def test_the_half_width_is_dunnetts() -> None:
    # With two variants it is Student's t: scipy.stats.t.ppf(0.98, 8) is 2.449.
    assert half_width(0.01, 2, 9) == pytest.approx(2.449 * 0.01 * (2 / 9) ** 0.5, rel=2e-3)
    assert half_width(0.01, 1, 5) == 0.0
