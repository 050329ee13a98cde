"""Mean squares of a table of recipes by seeds, which may have gaps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

_STANDS_OUT = 0.3
MANY = 50
"""With more recipes than this, what takes quadratic memory or cubic time is computed another way.
It gives the same but for the last digits."""


@dataclass(frozen=True)
class MeanSquares:
    """Analysis of variance of value ~ recipe + seed by least squares."""

    seed: float
    """Mean square of the seeds, adjusted for the recipes."""
    seed_freedom: int
    seed_weight: float
    """How often the variance of the seeds is in `seed`: the number of recipes in a full table."""
    residual: float
    residual_freedom: int

    def spread(self, weights: NDArray[np.float64]) -> tuple[float, float]:
        """Variance over seeds of a weighted sum of recipes, and its degrees of freedom.

        What a seed does to all recipes alike is in the sum as often as its weights add up to: not
        at all in a difference, once in a single recipe. Degrees of freedom are Satterthwaite's
        (1946, Biometrics 2); 0 where the table has too few values.
        """
        shared = float(weights.sum()) ** 2 / self.seed_weight if self.seed_weight else 0.0
        # The weights of a difference add up to zero but for rounding.
        shared = 0.0 if shared < 1e-12 else shared
        single = max(0.0, float(weights @ weights) - shared)
        single = 0.0 if single < 1e-12 else single
        if (shared and not self.seed_freedom) or (single and not self.residual_freedom):
            return 0.0, 0.0
        parts = [(shared * self.seed, self.seed_freedom)] if shared else []
        parts += [(single * self.residual, self.residual_freedom)] if single else []
        total = sum(part for part, _ in parts)
        if total <= 0:
            return 0.0, float(sum(freedom for _, freedom in parts))
        return total, total**2 / sum(part**2 / freedom for part, freedom in parts)


def mean_squares(
    recipes: Sequence[int] | NDArray[np.intp],
    seeds: Sequence[int] | NDArray[np.intp],
    products: NDArray[np.float64],
) -> MeanSquares:
    """Mean squares of the cells (`recipes[k]`, `seeds[k]`), `N` of them.

    Args:
        recipes: recipe of each cell, `[N]`.
        seeds: seed of each cell, `[N]`.
        products: `[N, N]`: values times values for the values' mean squares; a covariance matrix
            for the mean squares that this covariance alone is expected to give.
    """
    num = len(recipes)
    by_recipe, both = _bases(recipes, seeds)

    def explained(basis: NDArray[np.float64]) -> float:
        return float(np.einsum("ij,ik,kj->", basis, products, basis, optimize=True))

    rank_recipe, rank = by_recipe.shape[1], both.shape[1]
    seed_freedom, residual_freedom = rank - rank_recipe, num - rank
    within_recipe = explained(both)
    seed_squares = max(0.0, within_recipe - explained(by_recipe))
    residual_squares = max(0.0, float(products.trace()) - within_recipe)
    return _mean_squares(
        seed_squares, seed_freedom, residual_squares, residual_freedom, num - rank_recipe
    )


def mean_squares_of_factors(
    recipes: NDArray[np.intp], seeds: NDArray[np.intp], factors: Iterable[NDArray[np.float64]]
) -> MeanSquares:
    """The same for many cells, where products are the sum of `factor @ factor.T`.

    Args:
        recipes: recipe of each cell, `[N]`.
        seeds: seed of each cell, `[N]`.
        factors: matrices `[N, any]`.
    """
    _, number = np.unique(recipes, return_inverse=True)
    basis = _beside_recipes(number, seeds)
    sizes = np.bincount(number)
    order, starts = np.argsort(number, kind="stable"), np.cumsum(sizes) - sizes
    whole = by_recipe = by_seed = 0.0
    for factor in factors:
        sums = np.add.reduceat(factor[order], starts, axis=0)
        whole += float(np.square(factor).sum())
        by_recipe += float((np.square(sums).sum(axis=1) / sizes).sum())
        by_seed += float(np.square(basis.T @ factor).sum())
    inside = len(number) - len(sizes)
    return _mean_squares(
        by_seed,
        basis.shape[1],
        max(0.0, whole - by_recipe - by_seed),
        inside - basis.shape[1],
        inside,
    )


def _mean_squares(
    seed: float, seed_freedom: int, residual: float, residual_freedom: int, inside: int
) -> MeanSquares:
    """From sums of squares; `inside` is the number of cells less that of recipes."""
    return MeanSquares(
        seed=seed / seed_freedom if seed_freedom else 0.0,
        seed_freedom=seed_freedom,
        seed_weight=inside / seed_freedom if seed_freedom else 0.0,
        residual=residual / residual_freedom if residual_freedom else 0.0,
        residual_freedom=residual_freedom,
    )


def standing_out(
    recipes: NDArray[np.intp], seeds: NDArray[np.intp] | None, values: NDArray[np.float64]
) -> frozenset[int]:
    """Recipes whose variance over seeds is larger than that of all others, by F tests.

    What leaving out a recipe takes off the residual sum of squares, against the residual of the
    others. The level is for all recipes together (Bonferroni).

    Args:
        recipes: recipe of each network, `[N]`.
        seeds: seed of each network, `[N]`; None where networks share no seeds.
        values: accuracy of each network, `[N]`.
    """
    names, counts = np.unique(recipes, return_counts=True)
    if len(names) < 3:
        return frozenset()
    seeds = recipes if seeds is None else seeds
    if len(names) > MANY:
        # The means of the recipes are taken off here, and their columns are left out below.
        _, number = np.unique(recipes, return_inverse=True)
        both, rank = _beside_recipes(number, seeds), len(names)
        values = values - (np.bincount(number, values) / counts)[number]
    else:
        _, both = _bases(recipes, seeds)
        rank = 0
    residual = values - both @ (both.T @ values)
    squares, freedom = float(residual @ residual), len(values) - rank - both.shape[1]
    found = set()
    for name in names[counts > 2]:
        own = recipes == name
        # What the fit of all others would leave over, by the hat matrix's block of this recipe.
        loose = np.eye(own.sum()) - both[own] @ both[own].T
        if rank:
            loose -= 1 / own.sum()
        extra = float(residual[own] @ np.linalg.pinv(loose, rcond=1e-9) @ residual[own])
        extra_freedom = int(np.linalg.matrix_rank(loose, tol=1e-9))
        rest, rest_freedom = squares - extra, freedom - extra_freedom
        if not extra_freedom or not rest_freedom or rest <= 1e-12 * squares:
            continue
        ratio = extra / extra_freedom / (rest / rest_freedom)
        p_value = float(special.fdtrc(extra_freedom, rest_freedom, max(0.0, ratio)))
        if p_value * len(names) < _STANDS_OUT:
            found.add(int(name))
    return frozenset(found)


def _bases(
    recipes: Sequence[int] | NDArray[np.intp], seeds: Sequence[int] | NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Orthonormal columns of the recipes' means alone, and of recipes and seeds together."""
    _, recipes = np.unique(recipes, return_inverse=True)
    _, seeds = np.unique(seeds, return_inverse=True)
    by_recipe = np.eye(recipes.max() + 1)[recipes]
    by_recipe /= np.sqrt(by_recipe.sum(axis=0))
    by_seed = np.eye(seeds.max() + 1)[seeds]
    left, sizes, _ = np.linalg.svd(np.hstack([by_recipe, by_seed]), full_matrices=False)
    return by_recipe, left[:, sizes > 1e-9 * sizes[0]]


def _beside_recipes(number: NDArray[np.intp], seeds: NDArray[np.intp]) -> NDArray[np.float64]:
    """Orthonormal columns of what the seeds add to the means of the recipes 0, 1, 2...

    `_bases` would decompose a matrix with a column for each recipe.
    """
    _, seeds = np.unique(seeds, return_inverse=True)
    by_seed = np.eye(seeds.max() + 1)[seeds]
    means = np.zeros((number.max() + 1, by_seed.shape[1]))
    np.add.at(means, number, by_seed)
    means /= np.bincount(number)[:, None]
    scale = np.sqrt(by_seed.sum(axis=0).max())
    left, sizes, _ = np.linalg.svd(by_seed - means[number], full_matrices=False)
    found: NDArray[np.float64] = left[:, sizes > 1e-9 * scale]
    return found
