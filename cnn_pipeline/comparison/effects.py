"""The effect of each varied setting, from pairs of variants that differ only in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np

from cnn_pipeline.base import metric_names
from cnn_pipeline.comparison import statistics
from cnn_pipeline.comparison.numbers import in_words
from cnn_pipeline.comparison.types import AxisEffects, Basis, Effect, MatchedPair
from cnn_pipeline.comparison.variants import VariantTrials, mean_of, natural_key
from cnn_pipeline.settings.trial import unused_settings

_Pair = tuple[VariantTrials, VariantTrials]


def main_effects(
    variants: Sequence[VariantTrials], baseline: str | None
) -> tuple[tuple[AxisEffects, ...], tuple[str, ...]]:
    """Effects of every setting that varies among the scored variants, and notes on exclusions.

    Incomplete grids are fine: an effect uses the pairs that exist, and is marked as not estimable
    if there are none. Holm's correction covers the contrasts of the leaders of all axes.
    """
    scored, notes = _distinct([variant for variant in variants if variant.trials], baseline)
    names = list(dict.fromkeys(name for variant in scored for name in variant.fields))
    axes = []
    for axis in names:
        levels = sorted(
            {level for v in scored if (level := _level(v, axis)) is not None}, key=natural_key
        )
        if len(levels) > 1:
            axes.append(_axis_effects(scored, axis, levels, baseline))
    return _corrected(axes), notes


def _distinct(
    variants: Sequence[VariantTrials], baseline: str | None
) -> tuple[list[VariantTrials], tuple[str, ...]]:
    """Of variants that record the same settings keep one: the baseline, else the first."""
    kept: dict[tuple[tuple[str, str], ...], VariantTrials] = {}
    left_out: list[str] = []
    for variant in sorted(variants, key=lambda v: v.label != baseline):
        key = tuple(sorted(variant.fields.items()))
        if key in kept:
            left_out.append(
                f"{variant.label} records the same settings as {kept[key].label}: the effects of "
                "single settings leave it out."
            )
        else:
            kept[key] = variant
    return sorted(kept.values(), key=lambda v: natural_key(v.label)), tuple(left_out)


def _level(variant: VariantTrials, axis: str) -> str | None:
    """The variant's level; None if the setting is unused."""
    return None if axis in unused_settings(variant.fields) else variant.fields.get(axis)


def _axis_effects(
    variants: Sequence[VariantTrials], axis: str, levels: Sequence[str], baseline: str | None
) -> AxisEffects:
    reference = next(
        (level for v in variants if v.label == baseline and (level := _level(v, axis))), levels[0]
    )
    effects = tuple(
        _effect(variants, axis, level, reference) for level in levels if level != reference
    )
    gains = {e.level: e.validation for e in effects if e.validation is not None}
    if not gains:
        return AxisEffects(axis, reference, tuple(levels), effects)
    gains[reference] = 0.0
    # Choosing the leader on validation does not bias the tests on test images.
    best = max(gains.values())
    leader = next(level for level in levels if gains.get(level) == best)
    contrasts = tuple(_effect(variants, axis, leader, level) for level in levels if level != leader)
    return AxisEffects(axis, reference, tuple(levels), effects, leader, contrasts)


def _corrected(axes: Sequence[AxisEffects]) -> tuple[AxisEffects, ...]:
    p_values = iter(statistics.holm([effect.p_value for axis in axes for effect in axis.contrasts]))
    return tuple(
        dataclasses.replace(
            axis,
            contrasts=tuple(
                dataclasses.replace(effect, p_corrected=next(p_values)) for effect in axis.contrasts
            ),
        )
        for axis in axes
    )


def _effect(variants: Sequence[VariantTrials], axis: str, level: str, against: str) -> Effect:
    pairs = [
        (a, b)
        for a, b in product(variants, repeat=2)
        if _level(a, axis) == level and _level(b, axis) == against and _differ_only_in(a, b, axis)
    ]
    pairs, seeds = _balanced(pairs)
    if not pairs:
        return Effect(
            axis,
            level,
            against,
            basis="none",
            reason="not estimable: no two finished variants with a common seed differ in this "
            "setting alone",
        )
    basis, estimate, interval, p_value, reason = _accuracy_effect(pairs, seeds)
    return Effect(
        axis,
        level,
        against,
        basis=basis,
        pairs=tuple(MatchedPair(a.label, b.label, _mean_test(a, b, seeds)) for a, b in pairs),
        seeds=seeds,
        estimate=estimate,
        interval=interval,
        p_value=p_value,
        validation=mean_of(
            a.at(seed).validation - b.at(seed).validation for a, b in pairs for seed in seeds
        ),
        params_ratio=_ratio(pairs, metric_names.NUM_PARAMS),
        macs_ratio=_ratio(pairs, metric_names.MACS),
        seconds_ratio=_ratio(pairs, metric_names.TRAIN_SECONDS),
        reason=reason,
    )


def _differ_only_in(a: VariantTrials, b: VariantTrials, axis: str) -> bool:
    # A setting that one of them does not use follows from another one.
    ignored = {axis} | unused_settings(a.fields) | unused_settings(b.fields)
    names = (a.fields.keys() | b.fields.keys()) - ignored
    return all(a.fields.get(name) == b.fields.get(name) for name in names)


def _balanced(pairs: Sequence[_Pair]) -> tuple[list[_Pair], tuple[int, ...]]:
    """The largest block of pairs with the same seeds, for sweeps with missing trials.

    Either all pairs with the seeds that they share, or the pairs that have every seed. In a mean
    over such a block a missing trial cannot look like an effect.
    """
    common = {(a.label, b.label): set(a.seeds) & set(b.seeds) for a, b in pairs}
    usable = [(a, b) for a, b in pairs if common[a.label, b.label]]
    if not usable:
        return [], ()
    seeds = [common[a.label, b.label] for a, b in usable]
    shared, every = set.intersection(*seeds), set.union(*seeds)
    full = [pair for pair, have in zip(usable, seeds, strict=True) if have == every]
    if len(full) * len(every) > len(usable) * len(shared):
        return full, tuple(sorted(every))
    if shared:
        return usable, tuple(sorted(shared))
    largest = max(seeds, key=lambda have: (len(have), sorted(have)))
    return (
        [pair for pair, have in zip(usable, seeds, strict=True) if have >= largest],
        tuple(sorted(largest)),
    )


def _accuracy_effect(
    pairs: Sequence[_Pair], seeds: Sequence[int]
) -> tuple[Basis, float | None, statistics.Interval | None, float | None, str]:
    """Basis, estimate, interval, p-value, and the reason if there is no test."""
    if len(seeds) > 1:
        cells = [[_test(a, b, seed) for a, b in pairs] for seed in seeds]
        if any(value is None for cell in cells for value in cell):
            return "none", None, None, None, "test accuracies are missing"
        known = [value for cell in cells if (value := mean_of(cell)) is not None]
        p_value = statistics.t_test_p_value(known)
        reason = "" if p_value is not None else "the difference does not vary over the seeds"
        return "recipes", mean_of(known), statistics.t_interval(known), p_value, reason
    answers = [(a.at(seeds[0]).correct, b.at(seeds[0]).correct) for a, b in pairs]
    images = [x.astype(np.float64) - y for x, y in answers if x is not None and y is not None]
    if len(images) < len(pairs):
        lacking = sorted(
            {v.label for pair in pairs for v in pair if v.at(seeds[0]).correct is None}
        )
        reason = f"no paired test is possible: no predictions of {in_words(lacking)}"
        return ("none", mean_of(_test(a, b, seeds[0]) for a, b in pairs), None, None, reason)
    difference = np.mean(images, axis=0)
    return (
        "models",
        float(difference.mean()),
        statistics.paired_interval(difference),
        statistics.paired_p_value(difference),
        "",
    )


def _test(a: VariantTrials, b: VariantTrials, seed: int) -> float | None:
    ours, theirs = a.at(seed).test, b.at(seed).test
    return None if ours is None or theirs is None else ours - theirs


def _mean_test(a: VariantTrials, b: VariantTrials, seeds: Iterable[int]) -> float | None:
    return mean_of(_test(a, b, seed) for seed in seeds)


def _ratio(pairs: Iterable[_Pair], metric: str) -> float | None:
    ratios = []
    for a, b in pairs:
        ours, theirs = a.mean(metric), b.mean(metric)
        if not ours or not theirs or ours < 0 or theirs < 0:
            return None
        ratios.append(ours / theirs)
    return statistics.geometric_mean(ratios)
