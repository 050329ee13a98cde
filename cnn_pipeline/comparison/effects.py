"""The effect of each varied setting, from pairs of variants that differ only in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import comb

from cnn_pipeline.base import metric_names
from cnn_pipeline.comparison.estimate import Quantile
from cnn_pipeline.comparison.evidence import Evidence, family
from cnn_pipeline.comparison.matched import (
    Pair,
    distinct,
    interaction_weights,
    level_at,
    matched_pairs,
    varying_levels,
    weights_of,
)
from cnn_pipeline.comparison.statistics import geometric_mean
from cnn_pipeline.comparison.types import AxisEffects, Effect, Interaction, MatchedPair
from cnn_pipeline.comparison.variants import VariantTrials, mean_of


@dataclasses.dataclass(frozen=True)
class SettingEffects:
    """What the settings of a sweep do."""

    axes: tuple[AxisEffects, ...]
    interactions: tuple[Interaction, ...]
    notes: tuple[str, ...]
    """Which variants are left out, and why."""


def setting_effects(evidence: Evidence, baseline: str | None) -> SettingEffects:
    """Effects of every setting that varies among the scored variants, and their interactions.

    Incomplete grids are fine: an effect uses the pairs that exist, and is marked as not estimable
    if there are none. The intervals of all effects and interactions hold at once: those between any
    two levels of a setting, because the leader is known only afterwards. So do those of all simple
    effects, which are computed where an interaction is significant.
    """
    scored = [variant for variant in evidence.variants.values() if variant.trials]
    variants, notes = distinct(scored, baseline)
    levels = varying_levels(variants)
    references = {
        axis: _reference(variants, axis, found, baseline) for axis, found in levels.items()
    }
    squares = _squares(variants, levels, references)
    number = len(squares) + sum(comb(len(found), 2) for found in levels.values())
    interactions = tuple(
        _interaction(evidence, square, weights, family(number)) for square, weights in squares
    )
    axes = [
        _axis_effects(evidence, variants, axis, found, references[axis], family(number))
        for axis, found in levels.items()
    ]
    return SettingEffects(
        _with_simple_effects(evidence, variants, levels, axes, interactions), interactions, notes
    )


def _reference(
    variants: Sequence[VariantTrials], axis: str, levels: Sequence[str], baseline: str | None
) -> str:
    """The baseline's level, else the first."""
    own = (level_at(variant, axis) for variant in variants if variant.label == baseline)
    return next((level for level in own if level), levels[0])


def _axis_effects(
    evidence: Evidence,
    variants: Sequence[VariantTrials],
    axis: str,
    levels: tuple[str, ...],
    reference: str,
    quantile: Quantile,
) -> AxisEffects:
    def against(leading: str, lower: str) -> Effect:
        return _effect(evidence, variants, axis, leading, lower, quantile)

    effects = tuple(against(level, reference) for level in levels if level != reference)
    gains = {e.level: e.validation for e in effects if e.validation is not None}
    if not gains:
        return AxisEffects(axis, reference, levels, effects)
    gains[reference] = 0.0
    best = max(gains.values())
    leader = next(level for level in levels if gains.get(level) == best)
    contrasts = tuple(against(leader, level) for level in levels if level != leader)
    return AxisEffects(axis, reference, levels, effects, leader, contrasts)


def _effect(
    evidence: Evidence,
    variants: Sequence[VariantTrials],
    axis: str,
    level: str,
    against: str,
    quantile: Quantile,
    where: Mapping[str, str] | None = None,
) -> Effect:
    at = dict(where or {})
    pairs, seeds = matched_pairs(variants, axis, level, against, at)
    if not pairs:
        return Effect(
            axis,
            level,
            against,
            basis="none",
            reason="not estimable: no two finished variants with a common seed differ in this "
            "setting alone",
            where=at,
        )
    claim = evidence.claim(weights_of(pairs), quantile)
    return Effect(
        axis,
        level,
        against,
        basis=claim.basis,
        pairs=tuple(MatchedPair(a.label, b.label, _mean_test(a, b, seeds)) for a, b in pairs),
        seeds=claim.seeds or seeds,
        estimate=claim.estimate,
        interval=claim.interval,
        validation=mean_of(
            a.at(seed).validation - b.at(seed).validation for a, b in pairs for seed in seeds
        ),
        params_ratio=_ratio(pairs, metric_names.NUM_PARAMS),
        macs_ratio=_ratio(pairs, metric_names.MACS),
        seconds_ratio=_ratio(pairs, metric_names.TRAIN_SECONDS),
        seeds_only=claim.seeds_only,
        reason=claim.reason,
        where=at,
    )


_Change = tuple[str, str, str]
"""A setting, its level, and the level to change from."""


def _squares(
    variants: Sequence[VariantTrials],
    levels: Mapping[str, Sequence[str]],
    references: Mapping[str, str],
) -> list[tuple[tuple[_Change, _Change], dict[str, float]]]:
    """The changes of every two settings from their references that can be combined."""
    changes = {
        axis: [(axis, level, references[axis]) for level in found if level != references[axis]]
        for axis, found in levels.items()
    }
    return [
        ((first, second), weights)
        for one, other in combinations(levels, 2)
        for first in changes[one]
        for second in changes[other]
        if (weights := interaction_weights(variants, first, second))
    ]


def _interaction(
    evidence: Evidence,
    square: tuple[_Change, _Change],
    weights: Mapping[str, float],
    quantile: Quantile,
) -> Interaction:
    claim = evidence.claim(weights, quantile)
    return Interaction(
        *square[0],
        *square[1],
        basis=claim.basis,
        estimate=claim.estimate,
        interval=claim.interval,
        seeds=claim.seeds,
        seeds_only=claim.seeds_only,
        reason=claim.reason,
    )


def _with_simple_effects(
    evidence: Evidence,
    variants: Sequence[VariantTrials],
    levels: Mapping[str, Sequence[str]],
    axes: Sequence[AxisEffects],
    interactions: Sequence[Interaction],
) -> tuple[AxisEffects, ...]:
    interacting = {
        pair
        for found in interactions
        if found.significant
        for pair in ((found.axis, found.other), (found.other, found.axis))
    }
    wanted = [
        (effect, {other: level})
        for axis in axes
        for other in levels
        if (axis.axis, other) in interacting
        for effect in axis.contrasts
        for level in levels[other]
        if matched_pairs(variants, effect.axis, effect.level, effect.against, {other: level})[0]
    ]
    simple = [
        _effect(evidence, variants, e.axis, e.level, e.against, family(len(wanted)), where)
        for e, where in wanted
    ]
    return tuple(
        dataclasses.replace(axis, simple=tuple(e for e in simple if e.axis == axis.axis))
        for axis in axes
    )


def _mean_test(a: VariantTrials, b: VariantTrials, seeds: Iterable[int]) -> float | None:
    def gain(seed: int) -> float | None:
        ours, theirs = a.at(seed).test, b.at(seed).test
        return None if ours is None or theirs is None else ours - theirs

    return mean_of(map(gain, seeds))


def _ratio(pairs: Iterable[Pair], metric: str) -> float | None:
    ratios = []
    for a, b in pairs:
        ours, theirs = a.mean(metric), b.mean(metric)
        if not ours or not theirs or ours < 0 or theirs < 0:
            return None
        ratios.append(ours / theirs)
    return geometric_mean(ratios)
