"""The estimate of a difference between recipes, against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from cnn_pipeline.comparison.evidence import family
from cnn_pipeline.comparison.quantiles import t_quantile, tukey_quantile
from cnn_pipeline.comparison.recipes import Answers, Estimate, NoClaim


def networks(num_variants: int, num_seeds: int, num_images: int = 2000, seed: int = 5) -> Answers:
    """Networks that find the same images hard, and differ by recipe and by seed."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(size=num_images)
    block = rng.normal(size=num_seeds)
    correct = {
        (r, s): hard + 0.4 * rng.normal(size=num_images) + 0.03 * (rng.normal() + block[s])
        < 1.3 + 0.02 * r
        for r in range(num_variants)
        for s in range(num_seeds)
    }
    return of(correct, num_variants, num_seeds)


def of(correct, num_variants: int, num_seeds: int) -> Answers:
    accuracies = np.full((num_variants, num_seeds), np.nan)
    for cell, right in correct.items():
        accuracies[cell] = right.mean()
    labels = tuple(f"recipe {r}" for r in range(num_variants))
    return Answers(labels, tuple(range(num_seeds)), accuracies, correct)


def claim(outcome: Estimate | NoClaim) -> Estimate:
    assert isinstance(outcome, Estimate), outcome
    return outcome


def stacked(answers: Answers) -> np.ndarray:
    """Float `[V, S, n]` of a full table."""
    shape = answers.accuracies.shape
    return np.array(
        [[answers.correct[r, s] for s in range(shape[1])] for r in range(shape[0])], float
    )


@pytest.mark.parametrize("num_seeds", [2, 3, 5, 10])
def test_seeds_are_blocks_and_take_the_residual_of_the_table(num_seeds):
    answers = networks(5, num_seeds)
    right, acc = stacked(answers), answers.accuracies
    images, freedom = right.shape[2], 4 * (num_seeds - 1)
    residual = acc - acc.mean(axis=1, keepdims=True) - acc.mean(axis=0) + acc.mean()
    interaction = right - right.mean(axis=2, keepdims=True)
    interaction -= interaction.mean(axis=1, keepdims=True)
    interaction -= interaction.mean(axis=0)
    total = 2 * (residual**2).sum() / freedom
    noise = 2 * (interaction**2).sum() / freedom / (images - 1) / images
    by_image = (right[1] - right[3]).mean(axis=0).var(ddof=1) / images
    outcome = claim(answers.pair(1, 3))
    assert outcome.estimate == pytest.approx(acc[1].mean() - acc[3].mean())
    assert outcome.seed_error**2 == pytest.approx(total / num_seeds)
    assert outcome.image_error**2 == pytest.approx(max(0, by_image - noise / num_seeds))
    assert outcome.freedom == pytest.approx(freedom)
    assert outcome.seeds == tuple(range(num_seeds))
    assert outcome.images
    assert not outcome.own_spread


def test_a_spread_that_stands_out_is_used_alone():
    rng = np.random.default_rng(1)
    spread = np.array([0.01, 0.01, 0.01, 0.2])
    hard = rng.normal(size=2000)
    correct = {
        (r, s): hard + 0.4 * rng.normal(size=2000) + spread[r] * rng.normal() < 1.3
        for r in range(4)
        for s in range(5)
    }
    answers = of(correct, 4, 5)
    assert answers.stands_out == (False, False, False, True)
    assert not claim(answers.pair(0, 1)).own_spread
    c = np.array([0.5, 0.5, -0.5, -0.5])
    by_seed_and_image = np.einsum("r,rsi->si", c, stacked(answers))
    x = by_seed_and_image.mean(axis=1)
    centred = by_seed_and_image - x[:, None]
    centred -= centred.mean(axis=0)
    noise = (centred**2).sum() / 4 / 1999 / 2000
    by_image = by_seed_and_image.mean(axis=0).var(ddof=1) / 2000
    outcome = claim(answers.contrast(c))
    assert outcome.own_spread
    assert outcome.freedom == 4
    assert outcome.seed_error**2 == pytest.approx(x.var(ddof=1) / 5)
    assert outcome.image_error**2 == pytest.approx(max(0, by_image - noise / 5))


@pytest.mark.parametrize("seed", [2, 4])
def test_what_stands_out_is_tested_against_the_fit_of_the_others(seed):
    answers = networks(5, 4, seed=seed)
    cells = [(r, s) for r in range(5) for s in range(4) if (r, s) not in {(4, 2), (0, 1), (0, 2)}]
    kept = {cell: answers.correct[cell] for cell in cells}
    gappy = of(kept, 5, 4)
    y = np.array([gappy.accuracies[cell] for cell in cells])

    def residual(places):
        design = np.array(
            [
                [cells[k][0] == r for r in range(5)] + [cells[k][1] == s for s in range(4)]
                for k in places
            ],
            float,
        )
        fit, _, rank, _ = np.linalg.lstsq(design, y[places])
        return ((y[places] - design @ fit) ** 2).sum(), len(places) - rank

    everything, all_freedom = residual(list(range(len(cells))))
    expected = []
    for recipe in range(5):
        rest, freedom = residual([k for k, cell in enumerate(cells) if cell[0] != recipe])
        ratio = ((everything - rest) / (all_freedom - freedom)) / (rest / freedom)
        tested = sum(cell[0] == recipe for cell in cells) > 2
        expected.append(tested and 5 * stats.f.sf(ratio, all_freedom - freedom, freedom) < 0.3)
    assert gappy.stands_out == tuple(expected)


def test_one_recipe_pools_the_spread_of_all():
    answers = networks(6, 3)
    outcome = claim(answers.one_recipe(2))
    assert outcome.estimate == pytest.approx(answers.accuracies[2].mean())
    assert outcome.spread**2 == pytest.approx(answers.accuracies.var(axis=1, ddof=1).mean())


def test_without_answers_only_seeds_are_new():
    answers = networks(4, 3)
    bare = Answers(answers.labels, answers.seeds, answers.accuracies)
    outcome = claim(bare.pair(0, 1))
    assert not outcome.images
    assert outcome.error**2 == pytest.approx(outcome.spread**2 / 3)
    assert outcome.freedom == pytest.approx(6)


def test_gaps_use_the_seeds_in_common_and_the_fit_of_all_cells():
    answers = networks(5, 4)
    kept = {
        cell: right
        for cell, right in answers.correct.items()
        if cell not in {(4, 2), (4, 3), (0, 1)}
    }
    gappy = of(kept, 5, 4)
    cells = sorted(kept)
    design = np.array(
        [[r == k for k in range(5)] + [s == k for k in range(4)] for r, s in cells], float
    )
    y = np.array([gappy.accuracies[cell] for cell in cells])
    fit, _, rank, _ = np.linalg.lstsq(design, y)
    residual = ((y - design @ fit) ** 2).sum() / (len(y) - rank)
    assert "one seed" in gappy.pair(0, 4).reason
    outcome = claim(gappy.pair(1, 4))
    assert outcome.seeds == (0, 1)
    assert outcome.spread**2 == pytest.approx(2 * residual)
    assert outcome.estimate == pytest.approx(
        gappy.accuracies[1, :2].mean() - gappy.accuracies[4, :2].mean()
    )


def test_what_cannot_be_known_is_not_claimed():
    assert "too few" in networks(2, 2).pair(0, 1).reason
    assert "one seed" in networks(4, 1).pair(0, 1).reason
    assert "too few" in networks(1, 2).one_recipe(0).reason
    claim(networks(2, 3).pair(0, 1))
    answers = networks(2, 4)
    apart = {(r, s): right for (r, s), right in answers.correct.items() if (s < 2) == (r == 0)}
    assert "no seed in common" in of(apart, 2, 4).pair(0, 1).reason


def test_each_error_counts_by_its_own_quantile():
    outcome = claim(networks(4, 3).pair(0, 1))
    seed, image = outcome.seed_error**2, outcome.image_error**2
    assert outcome.error**2 == pytest.approx(seed + image)
    for interval, quantile in (
        (outcome.interval, t_quantile),
        (outcome.simultaneous(4), lambda freedom: tukey_quantile(4, freedom)),
        (outcome.within(family(6)), lambda freedom: t_quantile(freedom, number=6)),
    ):
        multiple = (seed * quantile(6) + image * quantile(math.inf)) / (seed + image)
        assert (interval.high - interval.low) / 2 == pytest.approx(multiple * outcome.error)
        assert (interval.high + interval.low) / 2 == pytest.approx(outcome.estimate)


def test_seeds_needed_falls_with_the_margin_and_may_be_none():
    answers = networks(4, 3, num_images=10_000)
    wide, narrow = answers.seeds_needed(0.02), answers.seeds_needed(0.01)
    assert wide is not None
    assert narrow is not None
    assert wide <= narrow
    assert answers.seeds_needed(1e-4) is None
    smallest = answers.smallest_difference()
    assert smallest is not None
    assert answers.seeds_needed(smallest * 1.3) <= 3


@pytest.mark.parametrize("labels", [("a",), ("a", "b", "c")])
def test_shapes_must_fit(labels):
    with pytest.raises(ValueError, match="one row per label"):
        Answers(labels, (0, 1), np.zeros((2, 2)))


def test_answers_must_be_of_the_same_images_and_of_known_cells():
    acc = np.array([[0.5, np.nan]])
    with pytest.raises(ValueError, match="without an accuracy"):
        Answers(("a",), (0, 1), acc, {(0, 1): np.ones(4, bool)})
    with pytest.raises(ValueError, match="same images"):
        Answers(
            ("a",), (0, 1), np.ones((1, 2)), {(0, 0): np.ones(4, bool), (0, 1): np.ones(5, bool)}
        )
