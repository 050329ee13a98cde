"""Confusion matrices of the variants, the difference of two, and scores per class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.comparison.report.data import TrialData
from cnn_pipeline.network.evaluation import Score, class_scores

MOST_CLASSES = 20
"""With more classes a matrix is unreadable; the most frequent confusions are listed instead."""
_LISTED = 15
SCORES = 6000
"""Cells of all tables of scores; beyond this only the hardest classes are shown."""


@dataclass(frozen=True, eq=False)
class Confusion:
    """The confusion matrix of one variant, summed over its seeds."""

    label: str
    seeds: int
    counts: NDArray[np.int64]
    """`[k, k]`: rows are true classes, columns predicted ones."""

    @property
    def shares(self) -> NDArray[np.float64]:
        """The counts as shares of their row; zeros for a class without images."""
        return np.asarray(self.counts / self.counts.sum(axis=1, keepdims=True).clip(1))

    def scores(self, kind: Score) -> NDArray[np.float64]:
        """Recall, precision or F1 of each class; 0 if undefined."""
        return class_scores(self.counts, kind)


@dataclass(frozen=True)
class Cell:
    """One cell of a matrix."""

    text: str
    shade: float
    """0 to 1: the square root of the share, so that single mistakes are visible."""
    tone: Literal["", "more", "less"] = ""
    """In a difference: whether the first variant predicts this more or less often."""


@dataclass(frozen=True)
class ListedConfusion:
    """One kind of mistake, listed if there are too many classes for a matrix."""

    true: str
    answer: str
    counts: tuple[int, ...]
    """Of each variant."""


@dataclass(frozen=True)
class ClassRow:
    """One class in the table of scores."""

    name: str
    images: int
    scores: tuple[float, ...]
    """Of each variant."""
    shades: tuple[float, ...]
    """0 for the lowest of the row, 1 for the highest."""
    best: frozenset[int]
    """Positions of the highest score; empty if all are equal."""


def confusions(trials: Sequence[TrialData], labels: Sequence[str]) -> tuple[Confusion, ...]:
    """The confusion matrix of each of `labels` that has answers, in that order."""
    found = []
    for label in labels:
        counts = [t.answers.confusion for t in trials if t.label == label and t.answers]
        if counts:
            found.append(Confusion(label, len(counts), np.sum(counts, axis=0)))
    return tuple(found)


def cells(confusion: Confusion) -> list[list[Cell]]:
    """The matrix as cells with text and shade."""
    return [
        [
            Cell(f"{count:,}" if count else "", round(math.sqrt(share), 3))
            for count, share in zip(counts, shares, strict=True)
        ]
        for counts, shares in zip(confusion.counts.tolist(), confusion.shares.tolist(), strict=True)
    ]


def difference_cells(first: Confusion, second: Confusion) -> list[list[Cell]]:
    """`first` minus `second`, in images per seed."""
    changes = first.counts / first.seeds - second.counts / second.seeds
    largest = float(np.abs(changes).max()) or 1.0
    return [[_difference_cell(change, largest) for change in row] for row in changes.tolist()]


def _difference_cell(change: float, largest: float) -> Cell:
    rounded = round(change)
    if not rounded:
        return Cell("", 0.0)
    shade = round(math.sqrt(abs(change) / largest), 3)
    # The minus sign, unlike the hyphen, is as wide as the plus.
    text = f"{rounded:+,}".replace("-", "\N{MINUS SIGN}")
    return Cell(text, shade, "more" if change > 0 else "less")


def listed(found: Sequence[Confusion], class_names: Sequence[str]) -> list[ListedConfusion]:
    """The most frequent mistakes over all variants, most frequent first."""
    total = np.sum([confusion.counts for confusion in found], axis=0)
    np.fill_diagonal(total, 0)
    order = np.argsort(-total, axis=None, kind="stable")[:_LISTED]
    return [
        ListedConfusion(
            class_names[true],
            class_names[answer],
            tuple(int(confusion.counts[true, answer]) for confusion in found),
        )
        for true, answer in zip(*np.unravel_index(order, total.shape), strict=True)
        if total[true, answer]
    ]


def hardest(found: Sequence[Confusion], most: int) -> list[int]:
    """At most `most` classes with the lowest F1 over all variants, in the labels' order."""
    mean = np.mean([confusion.scores("f1") for confusion in found], axis=0)
    return sorted(np.argsort(mean, kind="stable")[: max(most, 1)].tolist())


def class_rows(
    found: Sequence[Confusion], class_names: Sequence[str], kind: Score, shown: Sequence[int]
) -> list[ClassRow]:
    """One row per class in `shown`: the scores of the variants, with the highest marked."""
    # Rounded as displayed, so that scores that look equal are marked alike.
    scores = np.array([confusion.scores(kind) for confusion in found]).round(3)  # [variant, class]
    images = found[0].counts.sum(axis=1) // found[0].seeds
    return [
        ClassRow(
            class_names[number],
            int(images[number]),
            tuple(column.tolist()),
            tuple(((column - column.min()) / (np.ptp(column) or 1.0)).round(2).tolist()),
            frozenset(np.flatnonzero(column == column.max()).tolist())
            if column.max() > column.min()
            else frozenset(),
        )
        for number in shown
        for column in [scores[:, number]]
    ]


def as_json(found: Sequence[Confusion]) -> dict[str, Mapping[str, object]]:
    """The counts for the page's script, which subtracts any two variants."""
    return {
        confusion.label: {"seeds": confusion.seeds, "counts": confusion.counts.tolist()}
        for confusion in found
    }
