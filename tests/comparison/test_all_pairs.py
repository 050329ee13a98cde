"""All pairs at once give the numbers of each pair alone, with gaps and missing answers too."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from cnn_pipeline.comparison import mean_squares, recipes
from cnn_pipeline.comparison.quantiles import tukey_quantile
from cnn_pipeline.comparison.recipes import Answers, Estimate

NUMBER, IMAGES = 9, 200


def table(rng: np.random.Generator, seeds: int, present: float, answered: float) -> Answers:
    """Networks that differ by chance, one of them by more; some are missing, or their answers."""
    accuracies = np.full((NUMBER, seeds), np.nan)
    correct = {}
    ease = rng.normal(1, 1, IMAGES)
    for recipe, seed in np.ndindex(NUMBER, seeds):
        luck = rng.normal(0, 1.5 if recipe == 0 else 0.1)
        answers = ease + luck + rng.normal(0, 0.7, IMAGES) > 0
        if rng.random() < present:
            accuracies[recipe, seed] = answers.mean()
            if rng.random() < answered:
                correct[recipe, seed] = answers
    return Answers(tuple("abcdefghi"), tuple(range(seeds)), accuracies, correct)


def ends(answers: Answers) -> tuple[list[float], list[float]]:
    """The greatest lower and upper ends of the others' leads, from each pair alone."""
    low, high = [-np.inf] * NUMBER, [-np.inf] * NUMBER
    for one, other in combinations(range(NUMBER), 2):
        found = answers.pair(one, other)
        for behind, sign in ((other, 1), (one, -1)):
            if not isinstance(found, Estimate):
                high[behind] = np.inf
                continue
            half = found.half_width(lambda free: tukey_quantile(answers.num_variants, free))
            low[behind] = max(low[behind], sign * found.estimate - half)
            high[behind] = max(high[behind], sign * found.estimate + half)
    return low, high


@pytest.mark.parametrize("seeds", [1, 2, 4])
@pytest.mark.parametrize(("present", "answered"), [(1, 1), (0.8, 1), (1, 0.9), (0.8, 0)], ids=str)
def test_many_recipes_are_compared_as_few_are(
    seeds: int, present: float, answered: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = table(np.random.default_rng(seeds), seeds, present, answered)
    claims = [few.pair(one, other) for one, other in combinations(range(NUMBER), 2)]
    low, high = ends(few)
    smallest, needed, wide = few.smallest_difference(), few.seeds_needed(0.05), few.stands_out
    assert not few.many
    monkeypatch.setattr(recipes, "MANY", 3)
    monkeypatch.setattr(mean_squares, "MANY", 3)

    many = Answers(few.labels, few.seeds, few.accuracies, few.correct)
    assert many.many
    assert many.stands_out == wide
    np.testing.assert_allclose(many.leads.highest_low, low, atol=1e-6)
    known = np.isfinite(few.accuracies).any(axis=1)
    np.testing.assert_allclose(many.leads.highest_high[known], np.array(high)[known], atol=1e-6)
    for claim, (one, other) in zip(claims, combinations(range(NUMBER), 2), strict=True):
        found = many.pair(one, other)
        assert type(found) is type(claim)
        if isinstance(found, Estimate) and isinstance(claim, Estimate):
            numbers = ("estimate", "error", "freedom")
            expected = [getattr(claim, name) for name in numbers]
            assert [getattr(found, name) for name in numbers] == pytest.approx(expected)
    assert many.seeds_needed(0.05) == needed
    assert many.smallest_difference() == (smallest and pytest.approx(smallest, abs=1e-6))
