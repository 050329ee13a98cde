"""Networks that share no seeds, against the tests that SciPy has for them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cnn_pipeline.comparison.recipes import Answers, Estimate, NoClaim


def answers(*groups: np.ndarray, correct: dict | None = None) -> Answers:
    width = max(len(group) for group in groups)
    accuracies = np.full((len(groups), width), np.nan)
    for row, group in enumerate(groups):
        accuracies[row, : len(group)] = group
    labels = tuple(f"r{row}" for row in range(len(groups)))
    return Answers(labels, tuple(range(width)), accuracies, correct or {}, same_seeds=False)


def pair(known: Answers, a: int = 0, b: int = 1) -> Estimate:
    found = known.pair(a, b)
    assert isinstance(found, Estimate), found
    return found


def drawn(*sizes: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [0.9 + 0.005 * rng.normal(size=size) + 0.003 * row for row, size in enumerate(sizes)]


def test_many_networks_give_welchs_interval() -> None:
    first, second = drawn(6, 9)
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    found = pair(answers(first, second))
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high))
    assert not found.images


def test_few_networks_give_tukeys_intervals_also_of_unequal_groups() -> None:
    groups = drawn(3, 4, 3, 4)
    expected = stats.tukey_hsd(*groups).confidence_interval(0.95)
    known = answers(*groups)
    for a, b in ((0, 1), (2, 3), (3, 0)):
        interval = pair(known, a, b).simultaneous(4)
        assert interval.low == pytest.approx(expected.low[a, b], rel=1e-3)
        assert interval.high == pytest.approx(expected.high[a, b], rel=1e-3)


def test_the_order_of_runs_does_not_matter_as_it_does_with_seeds() -> None:
    first, second = drawn(5, 5)
    shuffled = answers(first, second[::-1])
    assert pair(shuffled).error == pytest.approx(pair(answers(first, second)).error)
    blocked = [
        Answers(("a", "b"), tuple(range(5)), np.stack([first, other])).pair(0, 1)
        for other in (second, second[::-1])
    ]
    assert blocked[0].error != pytest.approx(blocked[1].error)


def test_two_networks_of_each_are_too_few_where_little_else_is_known() -> None:
    known = answers(*drawn(2, 1))
    assert isinstance(known.pair(0, 1), NoClaim)


def of_images(rng: np.random.Generator, sizes: tuple[int, ...], spread: float) -> Answers:
    """Equal recipes: networks of 90 %, wandering by `spread`, on 1,000 images of their own."""
    hard = rng.normal(size=1000)
    correct = {
        (row, s): hard + 0.4 * rng.normal(size=1000) < 1.38 + spread * rng.normal()
        for row, size in enumerate(sizes)
        for s in range(size)
    }
    return answers(
        *([correct[row, s].mean() for s in range(size)] for row, size in enumerate(sizes)),
        correct=correct,
    )


@pytest.mark.parametrize("sizes", [(3, 3, 4), (6, 8)])
@pytest.mark.parametrize("spread", [0.0, 0.03])
def test_intervals_cover_new_seeds_and_new_images(sizes: tuple[int, ...], spread: float) -> None:
    """Of 400 intervals of equal recipes 95 % hold zero; 92.5 % is 2.3 standard errors below."""
    rng = np.random.default_rng(1)
    outcomes = [pair(of_images(rng, sizes, spread)) for _ in range(400)]
    assert all(outcome.images for outcome in outcomes)
    covered = np.mean([not outcome.interval.excludes_zero for outcome in outcomes])
    assert 0.925 <= covered <= 0.985
