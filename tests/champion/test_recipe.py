"""The bound of a difference between recipes, against cases that can be worked out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cnn_pipeline.champion.recipe import recipe_difference


def networks(*right: int, images: int = 1000, seed: int = 0) -> np.ndarray:
    """Networks that are right on so many images, chosen at random."""
    rng = np.random.default_rng(seed)
    made = np.zeros((len(right), images), dtype=bool)
    for row, number in zip(made, right, strict=True):
        row[rng.choice(images, number, replace=False)] = True
    return made


def test_seeds_that_spread_far_make_it_students_t_test() -> None:
    """Seeds that differ by far more than their images allow, against the textbook's test."""
    ours, theirs = networks(700, 860, 940), networks(500, 740, seed=1)
    found = recipe_difference(ours, theirs, 0.95)
    assert found.estimate == pytest.approx(0.8333 - 0.62, abs=1e-4)
    test = stats.ttest_ind([0.7, 0.86, 0.94], [0.5, 0.74], alternative="greater")
    low = test.confidence_interval(0.95).low
    assert found.low == pytest.approx(low, rel=0.02)


def test_seeds_without_any_spread_leave_that_of_their_images() -> None:
    """Equal accuracies of two seeds are chance: the images alone make networks differ."""
    rng = np.random.default_rng(3)
    difficulty = rng.random(4000)
    ours = rng.random((2, 4000)) < 0.5 + difficulty / 2
    ours[1] = False
    ours[1, rng.choice(4000, int(ours[0].sum()), replace=False)] = True
    found = recipe_difference(ours, ours[:1], 0.95)
    assert found.low < found.estimate - 0.01


def test_another_recipe_on_the_same_images_adds_the_spread_of_the_images() -> None:
    """Two recipes, each always of one mind: only other images could change the difference."""
    ours, theirs = np.ones((2, 1000), dtype=bool), np.ones((2, 1000), dtype=bool)
    ours[:, :20], theirs[:, 20:60] = False, False
    found = recipe_difference(ours, theirs, 0.95)
    error = np.std(ours[0] * 1.0 - theirs[0], ddof=1) / np.sqrt(1000)
    assert found.estimate == pytest.approx(0.02)
    assert found.low == pytest.approx(0.02 - 1.6449 * error, abs=1e-6)


def test_two_networks_and_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="three networks"):
        recipe_difference(networks(800), networks(700), 0.95)
    with pytest.raises(ValueError, match="same images"):
        recipe_difference(networks(800, 810), networks(700, images=900), 0.95)
