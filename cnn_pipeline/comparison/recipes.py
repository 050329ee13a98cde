"""How sure a difference between recipes is, over new seeds and new images.

A recipe is a variant's settings; training it with a seed gives one network. Networks are scored on
the same test images, so every answer belongs to a recipe, a seed and an image. Seeds and images are
random; another draw of both would give other differences. `Answers.contrast` says by how much.

The method is the analysis of variance for several readers and several cases (Gallas, Pennello and
Myers 2007, J. Opt. Soc. Am. A 24:B70), with seeds as readers and images as cases. For weights `c`
over the recipes, `S` seeds and `n` images

    x[s] = sum over r of c[r] * accuracy[r, s]        estimate = mean of x
    T    = variance of x over seeds
    I    = variance over images of the mean answer    / n
    N    = seed-by-image mean square                  / n
    error**2 = T / S + max(0, I - N / S)

What the `n` images add to one network's answers is in `T` and in `I`; taking off `N / S` leaves it
in one of them. `T` comes from the residual of accuracy ~ recipe + seed over the whole table: a seed
fixes the order of the training images for every recipe, so it is always in the model. Only where a
recipe's spread stands out from that of the others is `T` the variance of `x` itself.
`docs/decisions/0025-recipes.md` has the simulations behind these choices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.comparison.all_pairs import Leads, Table, leads
from cnn_pipeline.comparison.estimate import Estimate, NoClaim
from cnn_pipeline.comparison.independent import WELCH_NETWORKS, spread_of_sum
from cnn_pipeline.comparison.mean_squares import (
    MANY,
    MeanSquares,
    mean_squares,
    mean_squares_of_factors,
    standing_out,
)
from cnn_pipeline.comparison.quantiles import tukey_quantile
from cnn_pipeline.network.image_scores import Scores

__all__ = ["Answers", "Estimate", "NoClaim"]

_MIN_FREEDOM = 2
_MOST_SEEDS = 1000
_IMAGES = 1000
"""Test images whose answers by many networks are taken at a time."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Which test images each network gets right, or what each image is worth in another metric.

    Args:
        labels: the recipes, `V` of them.
        seeds: the seeds, `S` of them.
        accuracies: float64 `[V, S]`, shares from 0 to 1; NaN where there is no network.
        correct: by (recipe index, seed index), bool `[n]`: which images the network gets right,
            the same images in the same order everywhere; or float64 `[n]`, the scores of
            `network.image_scores`, whose mean is in `accuracies`. Where a recipe's answers are not
            all known, what is said about it allows for new seeds only.
        same_seeds: whether networks of one column have a seed in common. If not, the columns only
            number each recipe's networks, and all networks are independent: see `independent`.
        image_freedom: degrees of freedom of a variance over images: see `image_weights`.

    Raises:
        ValueError: shapes that do not fit, or answers for a cell without an accuracy.
    """

    labels: tuple[str, ...]
    seeds: tuple[int, ...]
    accuracies: NDArray[np.float64]
    correct: Mapping[tuple[int, int], Scores] = field(default_factory=dict)
    same_seeds: bool = True
    image_freedom: float = math.inf

    def __post_init__(self) -> None:
        wanted = (len(self.labels), len(self.seeds))
        if self.accuracies.shape != wanted:
            raise ValueError(
                f"accuracies must have one row per label and one column per seed: {wanted}, "
                f"received {self.accuracies.shape}"
            )
        sizes = {answers.size for answers in self.correct.values()}
        if len(sizes) > 1 or 0 in sizes:
            raise ValueError(f"all networks must answer the same images, received {sorted(sizes)}")
        lacking = [cell for cell in self.correct if not self._known[cell]]
        if lacking:
            raise ValueError(f"answers without an accuracy: (recipe, seed) {lacking}")

    @property
    def num_variants(self) -> int:
        """Recipes with at least one network: the number that Tukey's quantile takes."""
        return int(self._known.any(axis=1).sum())

    def contrast(self, weights: Sequence[float] | NDArray[np.float64]) -> Estimate | NoClaim:
        """The sum of `weights[r] * accuracy[r]` over new seeds and new images.

        A pair is +1 and -1; a main effect is the mean over its matched pairs; an interaction is a
        difference of differences; a single 1 is a recipe's own accuracy.
        """
        given = np.asarray(weights, dtype=np.float64)
        if given.shape != (len(self.labels),) or not given.any():
            raise ValueError(
                f"contrast needs {len(self.labels)} weights, not all 0, received {weights}"
            )
        if not self.same_seeds:
            return self._independent(given)
        rows = np.flatnonzero(given)
        c = given[rows]
        columns = np.flatnonzero(self._known[rows].all(axis=0))
        num = len(columns)
        if num == 0:
            return NoClaim("these recipes have no seed in common")
        x = c @ self.accuracies[np.ix_(rows, columns)]
        estimate = float(x.mean())
        if num == 1:
            return NoClaim("one seed says nothing about other seeds", estimate)
        by_image = self._covariance_of_sum(rows, columns, c)
        own = num > _MIN_FREEDOM and any(self.stands_out[row] for row in rows)
        if own:
            total, freedom = float(x.var(ddof=1)), float(num - 1)
            noise = 0.0 if by_image is None else _between(by_image)
        else:
            total, freedom = self._mean_squares.spread(c)
            squares = None if by_image is None else self._image_squares
            noise = 0.0 if squares is None else squares.spread(c)[0]
        images = None if by_image is None else float(by_image.mean()) - noise / num
        seeds = tuple(self.seeds[column] for column in columns)
        return self._judge(estimate, total / num, freedom, images, seeds, own=own)

    def _independent(self, c: NDArray[np.float64]) -> Estimate | NoClaim:
        """A sum over recipes whose networks share no seeds."""
        places = [np.flatnonzero(known) for known in self._known]
        groups = [self.accuracies[row, columns] for row, columns in enumerate(places)]
        rows = np.flatnonzero(c)
        fewest = min(groups[row].size for row in rows)
        if fewest == 0:
            return NoClaim("there is no network of one of these recipes")
        estimate = float(sum(c[row] * groups[row].mean() for row in rows))
        blocks = [
            self._block([(row, int(s)) for s in columns]) for row, columns in enumerate(places)
        ]
        two = self.num_variants == 2 and fewest >= WELCH_NETWORKS
        own = two or (fewest > _MIN_FREEDOM and any(self.stands_out[row] for row in rows))
        total, freedom, noise = spread_of_sum(c, groups, blocks, own=own)
        cells = [(int(row), int(s)) for row in rows for s in places[row]]
        weights = np.array([c[row] / groups[row].size for row, _ in cells])
        block = self._block(cells)
        images = None if block is None else float(weights @ block @ weights) - noise
        return self._judge(estimate, total, freedom, images, self.seeds[:fewest], own=own)

    def _judge(
        self,
        estimate: float,
        seed_variance: float,
        freedom: float,
        image_variance: float | None,
        seeds: tuple[int, ...],
        *,
        own: bool,
    ) -> Estimate | NoClaim:
        if freedom < _MIN_FREEDOM:
            return NoClaim(self._too_few(len(seeds)), estimate)
        images = max(0.0, image_variance or 0.0)
        if seed_variance + images <= 1e-18:
            return NoClaim("the accuracies do not vary, so their spread is unknown", estimate)
        return Estimate(
            estimate=estimate,
            seed_error=math.sqrt(seed_variance),
            image_error=math.sqrt(images),
            freedom=freedom,
            seeds=seeds,
            images=image_variance is not None,
            own_spread=own,
            image_freedom=self.image_freedom,
        )

    def _block(self, cells: Sequence[tuple[int, int]]) -> NDArray[np.float64] | None:
        """Covariance over images of the accuracies of some cells; None if it is unknown."""
        if not cells or any(cell not in self.correct for cell in cells):
            return None
        places = [self._places[cell] for cell in cells]
        block: NDArray[np.float64] = self._covariance[np.ix_(places, places)]
        return block

    def pair(self, recipe: int, against: int) -> Estimate | NoClaim:
        """Accuracy of one recipe less that of another, by their indices."""
        if (recipe, against) not in self._pairs:
            weights = np.zeros(len(self.labels))
            weights[recipe], weights[against] = 1, -1
            self._pairs[recipe, against] = self.contrast(weights)
        return self._pairs[recipe, against]

    def one_recipe(self, recipe: int) -> Estimate | NoClaim:
        """A recipe's own accuracy, by its index."""
        weights = np.zeros(len(self.labels))
        weights[recipe] = 1
        return self.contrast(weights)

    def smallest_difference(self) -> float | None:
        """The difference between two recipes from which on it is significant, as a share.

        The half-width of the simultaneous interval; of several pairs the middle one of those with
        the most seeds. None where nothing can be claimed.
        """
        typical = self._typical_pair
        if typical is None:
            return None
        return typical.half_width(lambda freedom: tukey_quantile(self.num_variants, freedom))

    def seeds_needed(self, margin: float) -> int | None:
        """Seeds in all, for every recipe, until a difference of `margin` is significant.

        Expected from the spreads seen so far. None where nothing can be claimed yet, or where no
        number of seeds is enough, because the number of test images limits the answer.
        """
        if not margin > 0:
            raise ValueError(f"seeds_needed needs a margin above 0, received {margin}")
        typical = self._typical_pair
        if typical is None:
            return None
        have, variants = len(typical.seeds), self.num_variants

        def all_pairs(freedom: float) -> float:
            return tukey_quantile(variants, freedom)

        for num in range(2, _MOST_SEEDS + 1):
            future = replace(
                typical,
                seed_error=typical.seed_error * math.sqrt(have / num),
                freedom=typical.freedom * (num - 1) / (have - 1),
            )
            # Infinite degrees of freedom give the smallest quantile, and a fast one.
            if future.freedom < _MIN_FREEDOM or all_pairs(math.inf) * future.error > margin:
                continue
            if future.half_width(all_pairs) <= margin:
                return num
        return None

    @property
    def many(self) -> bool:
        """Whether there are so many recipes that their pairs are taken together: see `leads`."""
        return self.same_seeds and len(self.labels) > MANY

    @cached_property
    def leads(self) -> Leads:
        """What the simultaneous intervals of all pairs say of each recipe, of many recipes."""
        pair = np.array([1.0, -1.0])
        total, freedom = self._mean_squares.spread(pair)
        squares = self._image_squares
        table = Table(
            self.accuracies,
            self.correct,
            np.array(self.stands_out),
            total,
            freedom,
            0.0 if squares is None else squares.spread(pair)[0],
            self.image_freedom,
        )
        return leads(table, lambda freedom: tukey_quantile(max(2, self.num_variants), freedom))

    @cached_property
    def stands_out(self) -> tuple[bool, ...]:
        """For each recipe, whether its spread over seeds is larger than that of the others.

        An F test of each against all others, at 30 % over all recipes together: using a recipe's
        own spread without need costs little, not using it where it is larger costs coverage.
        """
        recipes, seeds = np.nonzero(self._known)
        flags = standing_out(recipes, seeds if self.same_seeds else None, self._centred)
        return tuple(row in flags for row in range(len(self.labels)))

    @cached_property
    def _pairs(self) -> dict[tuple[int, int], Estimate | NoClaim]:
        return {}

    @cached_property
    def _known(self) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = np.isfinite(self.accuracies)
        return known

    @cached_property
    def _typical_pair(self) -> Estimate | None:
        if self.many:
            typical = self.leads.typical and self.pair(*self.leads.typical)
            return typical if isinstance(typical, Estimate) else None
        number = range(len(self.labels))
        pairs = [self.pair(a, b) for a in number for b in number if a < b]
        claims = [pair for pair in pairs if isinstance(pair, Estimate)]
        most = max((len(pair.seeds) for pair in claims), default=0)
        best = sorted((pair for pair in claims if len(pair.seeds) == most), key=lambda p: p.error)
        return best[len(best) // 2] if best else None

    def _too_few(self, num_seeds: int) -> str:
        return (
            f"{num_seeds} seeds of {self.num_variants} "
            f"{'recipe' if self.num_variants == 1 else 'recipes'} are too few to know the spread; "
            "add a seed"
        )

    @cached_property
    def _mean_squares(self) -> MeanSquares:
        recipes, seeds = np.nonzero(self._known)
        if self.many:
            return mean_squares_of_factors(recipes, seeds, [self._centred[:, None]])
        return mean_squares(recipes, seeds, np.outer(self._centred, self._centred))

    @property
    def _centred(self) -> NDArray[np.float64]:
        """Accuracies of all networks, less their mean, `[N]`."""
        values: NDArray[np.float64] = self.accuracies[self._known]
        centred: NDArray[np.float64] = values - values.mean()
        return centred

    @cached_property
    def _image_squares(self) -> MeanSquares | None:
        """The mean squares that having few images would give to networks of equal accuracy."""
        if not self.correct:
            return None
        recipes, seeds = np.array(sorted(self.correct)).T
        if self.many:
            return mean_squares_of_factors(recipes, seeds, self._distances())
        return mean_squares(recipes, seeds, self._covariance)

    @cached_property
    def _covariance(self) -> NDArray[np.float64]:
        """Covariance over images of the accuracies in `correct`, in the order of their cells."""
        known = [self.correct[cell] for cell in sorted(self.correct)]
        num = len(known[0])
        if any(scores.dtype != np.bool_ for scores in known):
            distances = np.array([scores - np.mean(scores) for scores in known])
            of_scores: NDArray[np.float64] = distances @ distances.T / num / max(1, num - 1)
            return of_scores
        # float32 counts exactly up to 2**24 images.
        answers = np.array(known, np.float32)
        both = (answers @ answers.T).astype(np.float64) / num
        right = both.diagonal()
        covariance: NDArray[np.float64] = (both - np.outer(right, right)) / max(1, num - 1)
        return covariance

    def _distances(self) -> Iterator[NDArray[np.float64]]:
        """Factors of `_covariance`, `[N, images]`, some images at a time."""
        known = [self.correct[cell] for cell in sorted(self.correct)]
        num = len(known[0])
        means = np.array([np.mean(scores) for scores in known])[:, None]
        for start in range(0, num, _IMAGES):
            part = np.array([scores[start : start + _IMAGES] for scores in known], np.float64)
            yield (part - means) / math.sqrt(num * max(1, num - 1))

    def _covariance_of_sum(
        self, rows: NDArray[np.intp], columns: NDArray[np.intp], c: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """Covariance over images of the sum at each seed, `[seeds, seeds]`; None if unknown."""
        if self.many:
            return self._covariance_of_answers(rows, columns, c)
        cells = [(int(row), int(column)) for column in columns for row in rows]
        block = self._block(cells)
        if block is None:
            return None
        num, size = len(columns), len(rows)
        summed: NDArray[np.float64] = np.einsum(
            "i,sitj,j->st", c, block.reshape(num, size, num, size), c
        )
        return summed

    def _covariance_of_answers(
        self, rows: NDArray[np.intp], columns: NDArray[np.intp], c: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """The same from the answers, without the covariance of all networks."""
        if any((int(row), int(column)) not in self.correct for column in columns for row in rows):
            return None
        sums = []
        for column in columns:
            total = np.zeros(len(next(iter(self.correct.values()))))
            for weight, row in zip(c, rows, strict=True):
                total += weight * self.correct[int(row), int(column)]
            sums.append(total - total.mean())
        distances = np.array(sums)
        num = distances.shape[1]
        covariance: NDArray[np.float64] = distances @ distances.T / num / max(1, num - 1)
        return covariance

    @cached_property
    def _places(self) -> dict[tuple[int, int], int]:
        return {cell: place for place, cell in enumerate(sorted(self.correct))}


def _between(covariance: NDArray[np.float64]) -> float:
    """The variance over seeds that a covariance `[seeds, seeds]` is expected to give."""
    num = len(covariance)
    return float(covariance.trace() - covariance.sum() / num) / (num - 1)
