"""What can be claimed about a weighted sum of variants' accuracies: about recipes, else networks.

`recipes.Answers` speaks about recipes, over new seeds and new images. Where it makes no claim, as
with one seed, the networks that were trained can still be compared, over new images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cnn_pipeline.comparison.estimate import Estimate, NoClaim, Quantile
from cnn_pipeline.comparison.image_weights import ImageWeights
from cnn_pipeline.comparison.numbers import in_words
from cnn_pipeline.comparison.quantiles import t_quantile, tukey_quantile
from cnn_pipeline.comparison.recipes import Answers
from cnn_pipeline.comparison.statistics import Interval, paired_interval
from cnn_pipeline.comparison.types import Basis
from cnn_pipeline.comparison.variants import VariantTrials
from cnn_pipeline.network.image_scores import Scores

Weights = Mapping[str, float]
"""By the key of a variant in `Evidence.variants`."""


@dataclass(frozen=True)
class Claim:
    """A sum of accuracies with its interval, and what it is about."""

    basis: Basis
    """'recipes', 'models' or, without an interval, 'none'."""
    estimate: float | None = None
    interval: Interval | None = None
    seeds: tuple[int, ...] = ()
    seeds_only: bool = False
    """The interval allows for new seeds, but not for new images: predictions are missing."""
    reason: str = ""
    """Why nothing is claimed about recipes; empty if something is."""


def family(number: int) -> Quantile:
    """Of a family of `number` claims (Bonferroni)."""
    return lambda freedom: t_quantile(freedom, number=max(1, number))


class Evidence:
    """The networks of several variants, and what can be claimed about them.

    Variants without a test accuracy may be among them; nothing is claimed about these. Without
    `same_seeds` all networks are independent, and their seeds only number them.
    """

    def __init__(
        self,
        variants: Mapping[str, VariantTrials],
        *,
        same_seeds: bool = True,
        weights: ImageWeights | None = None,
    ) -> None:
        self.variants = variants
        self.weights = weights
        """How much the test images weigh in the metric; None if all alike."""
        self._rows = {key: row for row, key in enumerate(variants)}
        self._seeds = sorted({seed for one in variants.values() for seed in one.seeds})
        columns = {seed: column for column, seed in enumerate(self._seeds)}
        accuracies = np.full((len(variants), len(self._seeds)), np.nan)
        correct: dict[tuple[int, int], Scores] = {}
        for row, variant in enumerate(variants.values()):
            for trial in variant.trials:
                cell = row, columns[trial.seed]
                if trial.test is not None:
                    accuracies[cell] = trial.test
                if trial.correct is not None:
                    correct[cell] = trial.correct
        self.answers = Answers(
            tuple(variants),
            tuple(self._seeds),
            accuracies,
            correct,
            same_seeds=same_seeds,
            image_freedom=weights.freedom if weights else math.inf,
        )

    def all_pairs(self, freedom: float) -> float:
        """Of the family of all pairs of variants (Tukey): a `Quantile`."""
        return tukey_quantile(max(2, self.answers.num_variants), freedom)

    def pair(self, key: str, against: str, quantile: Quantile) -> Claim:
        """Test accuracy of one variant minus that of another."""
        return self.claim({key: 1, against: -1}, quantile)

    def claim(self, weights: Weights, quantile: Quantile) -> Claim:
        """The sum of `weights` times test accuracies, which must add up to zero.

        About recipes if that can be claimed, else about the trained networks.
        """
        outcome = self._contrast(weights)
        if isinstance(outcome, Estimate):
            return Claim(
                "recipes",
                outcome.estimate,
                outcome.within(quantile),
                outcome.seeds,
                seeds_only=not outcome.images,
            )
        return self.networks(weights, quantile, outcome.reason)

    def networks(self, weights: Weights, quantile: Quantile, reason: str = "") -> Claim:
        """The same sum for the trained networks alone: its interval allows for new images.

        Over the seeds that all of them have; without such a seed, each over its own.
        """
        known = {key: self._answers_of(key) for key in weights}
        common = set.intersection(*(set(answers) for answers in known.values()))
        if not self.answers.same_seeds:
            common = set()
        lacking = [self.variants[key].label for key, answers in known.items() if not answers]
        if lacking:
            lacking = list(dict.fromkeys(lacking))
            why = f"no predictions of {in_words(lacking)}"
            if reason and any(len(self.variants[key].seeds) > 1 for key in weights):
                why = f"{reason} ({why})"
            return Claim("none", self._plain(weights), reason=why)
        difference = sum(
            weight * np.mean([known[key][seed] for seed in common or known[key]], axis=0)
            for key, weight in weights.items()
        )
        # `paired_interval` takes differences from -1 to 1.
        scale = max(1.0, sum(map(abs, weights.values())) / 2)
        confidence = 2 * float(special.ndtr(quantile(math.inf))) - 1
        added = self.weights.added if self.weights else None
        scaled = paired_interval(np.asarray(difference) / scale, confidence, added)
        return Claim(
            "models",
            float(np.mean(difference)),
            Interval(scale * scaled.low, scale * scaled.high),
            tuple(sorted(common or known[next(iter(weights))])),
            reason=reason,
        )

    def recipe(self, key: str) -> Interval | None:
        """95 % interval of a variant's own accuracy over new seeds and images; None if unknown."""
        outcome = self.answers.one_recipe(self._rows[key])
        if isinstance(outcome, NoClaim):
            return None
        found = outcome.interval
        return Interval(max(0.0, found.low), min(1.0, found.high))

    @cached_property
    def about_recipes(self) -> bool:
        """Whether any two recipes can be compared."""
        if self.answers.many:
            return self.answers.leads.typical is not None
        return any(isinstance(outcome, Estimate) for outcome in self._pairs.values())

    def may_be_best(self) -> dict[str, bool]:
        """Whether each recipe with a test accuracy may be the best one; empty if unknown.

        One is left out where the interval of another one's lead lies above zero: Hsu's set (1984,
        Ann. Stat. 12) from the intervals of all pairs. They are wider than those that the set alone
        would take, but they are printed beside it, and it must not contradict them.
        """
        if self.answers.many:
            return self._of_many(self.answers.leads.highest_low <= 0)
        return self._by_leads(lambda lead: lead is None or lead.low <= 0)

    def within(self, margin: float) -> dict[str, bool]:
        """Whether no other recipe may lead each one by more than `margin`, a share.

        From the same intervals. Empty if nothing is claimed about recipes.
        """
        if self.answers.many:
            return self._of_many(self.answers.leads.highest_high <= margin)
        return self._by_leads(lambda lead: lead is not None and lead.high <= margin)

    def _of_many(self, passes: NDArray[np.bool_]) -> dict[str, bool]:
        if not self.about_recipes:
            return {}
        return {key: bool(passes[self._rows[key]]) for key in self._tested}

    def _by_leads(self, passes: Callable[[Interval | None], bool]) -> dict[str, bool]:
        """Whether the lead of every other recipe over each one passes; None is an unknown lead."""
        if not self.about_recipes:
            return {}
        return {
            key: all(passes(self._lead(other, key)) for other in self._tested if other != key)
            for key in self._tested
        }

    def _lead(self, key: str, against: str) -> Interval | None:
        outcome = self._pairs.get((key, against))
        if outcome is None:
            mirrored = self._lead(against, key)
            return mirrored and Interval(-mirrored.high, -mirrored.low)
        return None if isinstance(outcome, NoClaim) else outcome.within(self.all_pairs)

    @property
    def _tested(self) -> tuple[str, ...]:
        """Keys of the variants with a test accuracy."""
        return tuple(key for key, variant in self.variants.items() if variant.test is not None)

    @cached_property
    def _pairs(self) -> dict[tuple[str, str], Estimate | NoClaim]:
        return {
            (a, b): self.answers.pair(self._rows[a], self._rows[b])
            for a, b in combinations(self._tested, 2)
        }

    def _contrast(self, weights: Weights) -> Estimate | NoClaim:
        vector = np.zeros(len(self._rows))
        for key, weight in weights.items():
            vector[self._rows[key]] = weight
        return self.answers.contrast(vector)

    def _answers_of(self, key: str) -> dict[int, Scores]:
        trials = self.variants[key].trials
        return {trial.seed: trial.correct for trial in trials if trial.correct is not None}

    def _plain(self, weights: Weights) -> float | None:
        means = {key: self.variants[key].test for key in weights}
        if any(mean is None for mean in means.values()):
            return None
        return sum(weight * (means[key] or 0.0) for key, weight in weights.items())
