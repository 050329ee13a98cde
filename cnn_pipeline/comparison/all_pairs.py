"""All pairs of many recipes at once, with arrays in place of a call for each pair.

The numbers are those of `recipes.Answers.pair`, but for the last digits: of 1,000 recipes there are
half a million pairs. Memory grows with the number of networks and not with its square.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.comparison.estimate import Quantile
from cnn_pipeline.network.image_scores import Scores

_ROWS = 128
"""Recipes that are compared with all others at a time."""
_MIN_FREEDOM = 2


@dataclass(frozen=True, eq=False)
class Leads:
    """What the intervals of all pairs say of each recipe. Arrays are float64 `[V]`, shares."""

    highest_low: NDArray[np.float64]
    """The greatest lower end of another recipe's lead over each one; -inf where none is known."""
    highest_high: NDArray[np.float64]
    """The greatest upper end of another recipe's lead; inf where one is not known."""
    typical: tuple[int, int] | None
    """Of the pairs with the most seeds, the one in the middle by its error. None if nothing can be
    claimed about any pair."""


@dataclass(frozen=True, eq=False)
class Table:
    """What the intervals of pairs are made of: `V` recipes by `S` seeds."""

    accuracies: NDArray[np.float64]
    """`[V, S]`, NaN where there is no network."""
    correct: Mapping[tuple[int, int], Scores]
    """By (recipe, seed), the answers or scores of a network, `[n]`."""
    stands_out: NDArray[np.bool_]
    """`[V]`: whether a recipe's own spread over seeds counts."""
    total: float
    """Variance over seeds of the difference of two recipes that do not stand out."""
    freedom: float
    """Its degrees of freedom."""
    noise: float
    """What having few images adds to that variance."""
    image_freedom: float


@dataclass(frozen=True, eq=False)
class _Block:
    """Pairs of the recipes `rows` with the recipes `columns`: arrays `[rows, columns]`."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    seeds: int
    """Number of seeds that both recipes of each pair have."""
    estimate: NDArray[np.float64]
    error: NDArray[np.float64]
    half: NDArray[np.float64]
    """NaN where nothing can be claimed, and for a recipe with itself; so is `error`."""


def leads(table: Table, quantile: Quantile) -> Leads:
    """What the intervals of all pairs say, with the quantile of their family."""
    num = len(table.accuracies)
    low, high = np.full(num, -np.inf), np.full(num, -np.inf)
    most = 0
    pairs: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]] = []
    for block in _blocks(table, quantile):
        known = np.isfinite(block.half)
        itself = block.rows[:, None] == block.columns
        lowest = np.where(known, block.estimate - block.half, -np.inf).max(axis=0)
        highest = np.where(known, block.estimate + block.half, np.where(itself, -np.inf, np.inf))
        low[block.columns] = np.maximum(low[block.columns], lowest)
        high[block.columns] = np.maximum(high[block.columns], highest.max(axis=0))
        once = known & (block.rows[:, None] < block.columns)
        if once.any() and block.seeds >= most:
            if block.seeds > most:
                most, pairs = block.seeds, []
            first, second = np.nonzero(once)
            pairs.append((block.rows[first], block.columns[second], block.error[once]))
    return Leads(low, high, _middle(pairs))


def _middle(
    pairs: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]],
) -> tuple[int, int] | None:
    if not pairs:
        return None
    first, second, errors = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    place = np.argsort(errors, kind="stable")[len(errors) // 2]
    return int(first[place]), int(second[place])


def _blocks(table: Table, quantile: Quantile) -> Iterator[_Block]:
    """All pairs, those of recipes with the same seeds together. Untested recipes are left out."""
    patterns, group = np.unique(np.isfinite(table.accuracies), axis=0, return_inverse=True)
    group = group.ravel()
    for one, have in enumerate(patterns):
        for other, too in enumerate(patterns):
            if have.any() and too.any():
                seeds = np.flatnonzero(have & too)
                members = np.flatnonzero(group == one), np.flatnonzero(group == other)
                yield from _same_seeds(table, *members, seeds, quantile)


def _same_seeds(
    table: Table,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    seeds: NDArray[np.intp],
    quantile: Quantile,
) -> Iterator[_Block]:
    """Pairs that share `seeds`."""
    num = len(seeds)
    if num < 2:
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            unknown = np.full((len(part), len(columns)), np.nan)
            yield _Block(part, columns, num, unknown, unknown, unknown)
        return
    theirs = table.accuracies[np.ix_(columns, seeds)]
    images = _Images(table, columns, seeds)
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        ours = table.accuracies[np.ix_(part, seeds)]
        own = (num > _MIN_FREEDOM) & (table.stands_out[part][:, None] | table.stands_out[columns])
        mean, noise = images.of_differences(part, each_seed=bool(own.any()))
        total = np.where(own, _variances(ours, theirs), table.total) / num
        noise = np.where(own, noise, table.noise)
        image = np.maximum(0.0, np.nan_to_num(mean - noise / num))
        freedom = np.where(own, num - 1.0, table.freedom)
        variance = total + image
        unclaimed = (freedom < _MIN_FREEDOM) | (variance <= 1e-18)
        unclaimed |= part[:, None] == columns
        variance[unclaimed] = np.nan
        error = np.sqrt(variance)
        of_seeds = np.full_like(freedom, np.nan)
        for value in np.unique(freedom[~unclaimed]):
            of_seeds[freedom == value] = quantile(float(value))
        by_image = quantile(table.image_freedom)
        half = (total * of_seeds + image * by_image) / variance * error
        half = np.where(total > 0, half, by_image * error)
        estimate = ours.mean(axis=1)[:, None] - theirs.mean(axis=1)
        yield _Block(part, columns, num, estimate, error, half)


def _variances(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance over seeds of each difference, `[rows, columns]`."""
    found: NDArray[np.float64] = (ours[:, None] - theirs[None]).var(axis=2, ddof=1)
    return found


class _Images:
    """Variances over images of the differences of some recipes from others, over common seeds."""

    def __init__(self, table: Table, columns: NDArray[np.intp], seeds: NDArray[np.intp]) -> None:
        self._table, self._columns, self._seeds = table, columns, seeds
        self._mean = self._answers(columns, seeds)

    def of_differences(
        self, rows: NDArray[np.intp], *, each_seed: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Variance of the mean over seeds, and with `each_seed` what images add to that over seeds.

        NaN where answers are missing: only new seeds are allowed for then.
        """
        mean = _distances(self._answers(rows, self._seeds), self._mean)
        if not each_seed:
            return mean, np.zeros_like(mean)
        num = len(self._seeds)
        trace = np.zeros_like(mean)
        for seed in self._seeds:
            one = np.array([seed])
            trace += _distances(self._answers(rows, one), self._answers(self._columns, one))
        return mean, (trace - num * mean) / (num - 1)

    def _answers(self, recipes: NDArray[np.intp], seeds: NDArray[np.intp]) -> NDArray[np.float32]:
        """Mean answers over the seeds, less their mean over images: `[recipes, n]`."""
        correct = self._table.correct
        size = next((len(scores) for scores in correct.values()), 1)
        found = np.full((len(recipes), size), np.nan, np.float32)
        for place, recipe in enumerate(recipes):
            cells = [(int(recipe), int(seed)) for seed in seeds]
            if all(cell in correct for cell in cells):
                answers = sum(correct[cell].astype(np.float32) for cell in cells) / len(cells)
                found[place] = answers - np.mean(answers)
        found /= np.float32(np.sqrt(size * max(1, size - 1)))
        return found


def _distances(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Squared distances of every row from every other, `[rows, columns]`; NaN if unknown."""
    squares = [np.einsum("ij,ij->i", one, one, dtype=np.float64) for one in (ours, theirs)]
    both = (ours @ theirs.T).astype(np.float64)
    found: NDArray[np.float64] = np.maximum(0.0, squares[0][:, None] + squares[1] - 2 * both)
    return found
