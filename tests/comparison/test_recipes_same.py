"""Real networks of one recipe, called different as often as stated, and independent oracles."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from benchmarks.simulated_sweeps import world
from cnn_pipeline.comparison.recipes import Answers, Estimate
from tests.comparison.same_recipe import grouped, stored_answers


@pytest.fixture(scope="module")
def right() -> np.ndarray:
    """Bool `[24, 10000]`."""
    return stored_answers()


def claim(outcome: object) -> Estimate:
    assert isinstance(outcome, Estimate), outcome
    return outcome


def any_significant(answers: Answers) -> bool:
    number = len(answers.labels)
    return any(
        claim(answers.pair(a, b)).simultaneous(number).excludes_zero
        for a, b in combinations(range(number), 2)
    )


def test_networks_of_one_recipe_are_called_different_in_5_percent(right: np.ndarray) -> None:
    """Random groups as if they were recipes, 200 times each; standard error 0.9 % for all."""
    rng = np.random.default_rng(20260102)
    found = {
        (num_variants, num_seeds): np.mean(
            [
                any_significant(grouped(rng.permutation(right), num_variants, num_seeds))
                for _ in range(200)
            ]
        )
        for num_variants, num_seeds in ((6, 4), (8, 3), (12, 2))
    }
    assert np.mean(list(found.values())) <= 0.05 + 0.01, found
    assert max(found.values()) <= 0.05 + 0.04, found


def bootstrap_error(right: np.ndarray, repeats: int, rng: np.random.Generator) -> float:
    """Standard error of the mean of `[seeds, images]`, with both drawn again (multi-bootstrap).

    Sellam et al. 2022, The MultiBERTs, ICLR.
    """
    num_seeds, num_images = right.shape
    table = right.astype(np.float32)
    means = []
    for _ in range(repeats):
        images = np.bincount(rng.integers(0, num_images, num_images), minlength=num_images)
        by_seed = table @ images.astype(np.float32) / num_images
        means.append(by_seed[rng.integers(0, num_seeds, num_seeds)].mean())
    return float(np.std(means, ddof=1))


def in_a_bootstrap(outcome: Estimate, right: np.ndarray) -> float:
    """The standard error that a multi-bootstrap is expected to show.

    It takes (S - 1) / S of the variance over seeds, and counts the variance that seeds and images
    share three times instead of once (Owen 2007, Ann. Appl. Stat. 1:386).
    """
    num_seeds, num_images = right.shape
    shared = right - right.mean(axis=1, keepdims=True) - right.mean(axis=0) + right.mean()
    noise = (shared**2).sum() / (num_seeds - 1) / (num_images - 1) / num_images / num_seeds
    drawn = (1 - 1 / num_seeds) * (outcome.seed_error**2 + noise)
    return float(np.sqrt(drawn + outcome.image_error**2 + noise))


def test_a_multi_bootstrap_gives_the_error_of_one_recipe(right: np.ndarray) -> None:
    """2,000 resamples: 1.6 % standard error."""
    outcome = claim(grouped(right, 1, 24).one_recipe(0))
    found = bootstrap_error(right, 2000, np.random.default_rng(1))
    assert found == pytest.approx(in_a_bootstrap(outcome, right.astype(float)), rel=0.06)
    assert found == pytest.approx(outcome.error, rel=0.1)


def test_a_multi_bootstrap_gives_the_error_of_a_pair() -> None:
    """2,000 resamples: 1.6 % standard error."""
    answers = world(2).sweep(
        np.random.default_rng(4), num_seeds=20, num_images=4000, spreads=np.full(2, 0.01)
    )
    outcome = claim(answers.pair(0, 1))
    assert outcome.image_error > 0
    difference = np.array(
        [answers.correct[0, s].astype(float) - answers.correct[1, s] for s in range(20)]
    )
    found = bootstrap_error(difference, 2000, np.random.default_rng(1))
    assert found == pytest.approx(in_a_bootstrap(outcome, difference), rel=0.06)
    assert found == pytest.approx(outcome.error, rel=0.1)


def test_a_mixed_model_gives_the_errors_over_seeds(right: np.ndarray) -> None:
    """By `mixedlm("accuracy ~ C(recipe)", groups="seed")` of statsmodels 0.15.0, with REML."""
    answers = grouped(right, 6, 4)
    assert 100 * claim(answers.pair(0, 1)).seed_error == pytest.approx(0.753937, rel=1e-5)
    assert 100 * claim(answers.one_recipe(0)).seed_error == pytest.approx(0.671084, rel=1e-5)


def test_a_mixed_model_gives_the_error_over_seeds_and_images(right: np.ndarray) -> None:
    """The same with random effects of seeds and of images, on 80 images that are hard."""
    share = right.mean(axis=0)
    hard = np.flatnonzero((share > 0.05) & (share < 0.95))[240:320]
    outcome = claim(grouped(right[:6, hard], 1, 6).one_recipe(0))
    assert 100 * outcome.error == pytest.approx(4.594993, rel=1e-5)
