"""How often the gate promotes in simulated weeks: a fast version of `benchmarks.simulate_gate`.

Seeds are fixed, so a test always gives the same shares. The tolerances are two standard errors of
shares in so many weeks: 1.6 points of 5 % in 750 weeks, 5 points of 80 % in 250.
"""

from __future__ import annotations

from benchmarks.simulate_gate import Weeks, rates
from cnn_pipeline.champion.against import NETWORKS_ALONE


def test_an_equal_recipe_and_a_worse_network_are_rarely_promoted() -> None:
    """Two networks of that recipe differ by 0.7 points, and the challenger is the best of three."""
    found = rates(Weeks(seeds=3, spread=0.5, champion="sweep", better=0.0), 750, seed=1)
    assert found.promoted <= 0.05 + 0.016
    assert found.worse <= 0.005
    assert found.network_rule > 0.15, "the networks alone would be promoted"


def test_a_recipe_that_is_one_point_better_is_promoted() -> None:
    found = rates(Weeks(seeds=6, spread=0.5, champion="sweep", better=1.0), 250, seed=1)
    assert found.promoted >= 0.80 - 0.05
    assert found.recall_refuses <= 0.03
    assert found.over_five > 0.05, "some class lost more than five points, and it did not matter"


def test_one_seed_is_promoted_as_often_as_its_rule_says() -> None:
    found = rates(Weeks(seeds=1, spread=0.5, champion="first", better=0.0), 250, seed=1)
    (most,) = (int(word) / 100 for word in NETWORKS_ALONE.split() if word.isdigit())
    assert 0.5 * most < found.promoted <= most + 0.058
