"""When a sweep has enough seeds: the rule that ends its rounds.

A round is one seed for every variant that is still in. The rule sees validation accuracies alone;
the test images are scored, but nothing is decided by them. It holds no state: the same accuracies
always give the same decision, so a stored sweep is decided again from its runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.base.metric_names import Metric
from cnn_pipeline.comparison.quantiles import dunnett_quantile
from cnn_pipeline.comparison.statistics import Interval

ERROR_PER_LOOK = 0.02
"""Chance that one look drops the best variant, or takes a variant for close enough that is not."""
FIRST_LOOK = 2
"""Rounds before the first look: one seed says nothing about the spread between seeds."""


@dataclass(frozen=True)
class Bounds:
    """How far each variant is from the leader, and how well that is known; float64 `[V]`.

    Variants that are out, or that have no accuracy yet, are NaN. The leader's own are 0.
    """

    leader: int
    behind: NDArray[np.float64]
    """Mean accuracy of the leader minus that of each variant, as a share."""
    half: NDArray[np.float64]
    """The difference is `behind` plus or minus this; infinite if nothing is known of the spread."""
    spread: float | None
    """Standard deviation of the accuracies of one variant over seeds; None if not known."""


def bounds(
    accuracies: NDArray[np.float64], still_in: NDArray[np.bool_], num_validation: int
) -> Bounds | None:
    """Compare the variants that are still in with their leader; None if none has an accuracy.

    accuracy ~ variant + seed is fitted to the whole table: a seed fixes the order of the training
    images for every variant. The residuals of everything seen, variants that were dropped included,
    give one spread. With `S` seeds each, the error of a difference is spread * sqrt(2 / S), and the
    bound is that times Dunnett's one-sided quantile.

    Args:
        accuracies: float64 `[V, S]`, shares from 0 to 1; NaN where there is no network.
        still_in: bool `[V]`.
        num_validation: number of validation images. Accuracies are multiples of 1 / this.
    """
    known = np.isfinite(accuracies)
    rows, columns = np.nonzero(known)
    num_variants, num_seeds = accuracies.shape
    candidates = still_in & known.any(axis=1)
    if not candidates.any():
        return None
    design = np.zeros((rows.size, num_variants + num_seeds))
    design[np.arange(rows.size), rows] = 1
    design[np.arange(rows.size), num_variants + columns] = 1
    inverse = np.linalg.pinv(design.T @ design, hermitian=True)
    fitted = inverse @ design.T @ accuracies[known]
    residuals = accuracies[known] - design @ fitted
    freedom = rows.size - int(known.any(axis=1).sum()) - int(known.any(axis=0).sum()) + 1
    # Rounded, so that equal means are equal, and the first of them leads.
    effects = np.where(candidates, np.round(fitted[:num_variants], 12), -np.inf)
    leader = int(effects.argmax())
    behind = np.where(candidates, effects[leader] - effects, np.nan)
    half = np.where(candidates, np.inf, np.nan)
    half[leader] = 0
    spread = None
    if freedom >= 1:
        # Half a step of rounding: accuracies that agree by chance are not without spread.
        rounding = 1 / (12 * num_validation**2)
        spread = math.sqrt(float(residuals @ residuals) / freedom + rounding)
        others = int(known.any(axis=1).sum()) - 1
        quantile = dunnett_quantile(others, freedom, 1 - ERROR_PER_LOOK) if others else 0.0
        own = inverse[:num_variants, :num_variants]
        variances = own.diagonal() + own[leader, leader] - 2 * own[leader]
        known_half = quantile * spread * np.sqrt(np.clip(variances, 0, None))
        half = np.where(candidates, known_half, np.nan)
    return Bounds(leader, behind, half, spread)


@dataclass(frozen=True)
class Dropped:
    """A variant that got no more seeds."""

    label: str
    round: int
    """After which round it was dropped, from 1."""
    reason: str


@dataclass(frozen=True)
class Look:
    """What is known after a round. Accuracies and their differences are shares from 0 to 1."""

    round: int
    """From 1."""
    still_in: tuple[str, ...]
    """Labels of the variants that may still be the best, best first."""
    dropped: tuple[Dropped, ...] = ()
    """The variants that were dropped after this round."""
    leader: str | None = None
    """None if no trial has finished."""
    runner_up: str | None = None
    """The variant that may be furthest above the leader, of those that are still in."""
    lead: float | None = None
    """Mean accuracy of the leader minus that of `runner_up`."""
    half: float | None = None
    """`lead` is known within this; None after the first round."""
    spread: float | None = None
    """Standard deviation over seeds of the accuracies of one variant."""
    decided: bool = False

    @property
    def interval(self) -> Interval | None:
        """What `lead` may be with new seeds; None if nothing is known of that."""
        if self.lead is None or self.half is None:
            return None
        return Interval(self.lead - self.half, self.lead + self.half)


Status = Literal["decided", "not decided", "open"]


@dataclass(frozen=True)
class Rounds:
    """The rounds of a sweep so far, and whether they have decided it."""

    status: Status
    """'not decided' at the most rounds that were asked for; 'open' if a round would follow."""
    margin: float
    """Points of accuracy that matter."""
    max_rounds: int
    looks: tuple[Look, ...]
    """One for each round that is complete."""
    trials: int
    """Networks of these rounds, those that failed included."""
    num_validation: int
    """Number of validation images."""
    answer: str = ""
    """The answer from validation images, a sentence."""
    guarantee: str = ""
    """How often such an answer is wrong, a sentence; empty if it is not decided."""
    metric: Metric = "accuracy"
    """What it is decided by."""

    @property
    def rounds(self) -> int:
        """Number of complete rounds."""
        return len(self.looks)

    @property
    def dropped(self) -> tuple[Dropped, ...]:
        """All variants that were dropped, in the order in which they were."""
        return tuple(dropped for look in self.looks for dropped in look.dropped)

    @property
    def last(self) -> Look | None:
        """The newest look."""
        return self.looks[-1] if self.looks else None


def decide_rounds(
    labels: Sequence[str],
    seeds: Sequence[int],
    accuracies: Mapping[tuple[str, int], float | None],
    *,
    margin: float,
    num_validation: int,
    metric: Metric = "accuracy",
) -> Rounds:
    """Apply the rule to what is there, round by round.

    After each round from the second on, a variant is dropped if the leader leads it by more than
    the bound of its difference (see `bounds`). The rounds end when one variant is left, when no
    other that is still in can be `margin` points above the leader, or when the seeds are used up.

    Args:
        labels: all variants, in the order of the sweep.
        seeds: the seed of each round, as many as there may be.
        accuracies: validation accuracy by label and seed, a share from 0 to 1; None for a trial
            that ended without one. A round is complete when each variant that is still in has a
            value.
        margin: points of accuracy.
        num_validation: number of validation images.
        metric: name of what `accuracies` are, if they are another share from 0 to 1.
    """
    table = np.full((len(labels), len(seeds)), np.nan)
    still_in = np.ones(len(labels), dtype=np.bool_)
    looks: list[Look] = []
    trials = 0
    for column, seed in enumerate(seeds):
        cells = [(label, seed) for label, inside in zip(labels, still_in, strict=True) if inside]
        if not all(cell in accuracies for cell in cells):
            break
        trials += len(cells)
        for label, _ in cells:
            value = accuracies[label, seed]
            table[labels.index(label), column] = np.nan if value is None else value
        look = _look(labels, table[:, : column + 1], still_in, margin, num_validation)
        looks.append(look)
        still_in = np.array([label in look.still_in for label in labels], dtype=np.bool_)
        if look.decided or not look.still_in:
            break
    status: Status = "open"
    if looks and looks[-1].decided:
        status = "decided"
    elif looks and (len(looks) == len(seeds) or not looks[-1].still_in):
        status = "not decided"
    return Rounds(status, margin, len(seeds), tuple(looks), trials, num_validation, metric=metric)


def _look(
    labels: Sequence[str],
    table: NDArray[np.float64],
    still_in: NDArray[np.bool_],
    margin: float,
    num_validation: int,
) -> Look:
    """Look at the rounds so far: float64 `[V, S]`."""
    number = table.shape[1]
    found = bounds(table, still_in, num_validation)
    early = number < FIRST_LOOK
    rows = [row for row, inside in enumerate(still_in) if inside]
    if found is None:
        return Look(number, tuple(labels[row] for row in rows) if early else ())
    dropped = []
    for row in () if early else rows:
        if np.isnan(found.behind[row]):
            dropped.append(Dropped(labels[row], number, "none of its trials finished"))
        elif found.behind[row] > found.half[row]:
            dropped.append(Dropped(labels[row], number, _behind(labels, found, row)))
    out = {one.label for one in dropped}
    order = sorted(
        (row for row in rows if labels[row] not in out),
        key=lambda row: (math.inf if np.isnan(found.behind[row]) else found.behind[row], row),
    )
    left = tuple(labels[row] for row in order)
    others = [row for row in order if row != found.leader and np.isfinite(found.behind[row])]
    leader = labels[found.leader]
    if not others:
        return Look(number, left, tuple(dropped), leader, spread=found.spread, decided=not early)
    # With a seed missing here or there, the next best is not always the one least known.
    threat = max(others, key=lambda row: (found.half[row] - found.behind[row], -row))
    lead, half = float(found.behind[threat]), float(found.half[threat])
    return Look(
        number,
        left,
        tuple(dropped),
        leader,
        runner_up=labels[threat],
        lead=lead,
        half=half if math.isfinite(half) else None,
        spread=found.spread,
        decided=not early and half - lead < margin / 100,
    )


def _behind(labels: Sequence[str], found: Bounds, row: int) -> str:
    return (
        f"{labels[found.leader]} leads it by {100 * found.behind[row]:.2f} points, "
        f"more than the {100 * found.half[row]:.2f} that seeds explain"
    )
