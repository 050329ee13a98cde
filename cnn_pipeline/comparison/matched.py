"""Which variants differ in one setting alone, and the weights that their effects give them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cnn_pipeline.comparison.variants import VariantTrials, natural_key
from cnn_pipeline.settings.trial import unused_settings

Pair = tuple[VariantTrials, VariantTrials]


def distinct(
    variants: Sequence[VariantTrials], baseline: str | None
) -> tuple[list[VariantTrials], tuple[str, ...]]:
    """Of variants that record the same settings keep one: the baseline, else the first.

    Also returns a note on each that is left out.
    """
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


def varying_levels(variants: Sequence[VariantTrials]) -> dict[str, tuple[str, ...]]:
    """The settings that vary, with their levels in natural order."""
    found = {}
    for axis in dict.fromkeys(name for variant in variants for name in variant.fields):
        levels = {level for v in variants if (level := level_at(v, axis)) is not None}
        if len(levels) > 1:
            found[axis] = tuple(sorted(levels, key=natural_key))
    return found


def level_at(variant: VariantTrials, axis: str) -> str | None:
    """The variant's level; None if the setting is unused."""
    return None if axis in unused_settings(variant.fields) else variant.fields.get(axis)


def matched_pairs(
    variants: Sequence[VariantTrials],
    axis: str,
    level: str,
    against: str,
    where: Mapping[str, str] | None = None,
) -> tuple[list[Pair], tuple[int, ...]]:
    """Pairs that differ in `axis` alone, with the seeds that they share.

    `where` restricts them to levels of other settings. Of a sweep with missing trials, the largest
    block of pairs with the same seeds: in a mean over such a block a missing trial cannot look like
    an effect.
    """
    ours = [
        one
        for one in variants
        if level_at(one, axis) == level
        and all(level_at(one, name) == value for name, value in (where or {}).items())
    ]
    theirs = [one for one in variants if level_at(one, axis) == against]
    return _balanced(list(_pairs(ours, theirs, axis)))


def weights_of(pairs: Sequence[Pair]) -> dict[str, float]:
    """The weight of each variant, by label, in the mean difference of the pairs."""
    weights: dict[str, float] = {}
    for ours, theirs in pairs:
        for variant, sign in ((ours, 1), (theirs, -1)):
            weights[variant.label] = weights.get(variant.label, 0.0) + sign / len(pairs)
    return weights


def interaction_weights(
    variants: Sequence[VariantTrials],
    first: tuple[str, str, str],
    second: tuple[str, str, str],
) -> dict[str, float]:
    """Weights of how the effect of one setting depends on another: the mean over all squares.

    Args:
        variants: those that are compared.
        first: a setting, its level, and the level to change from.
        second: the other setting, and two levels of it likewise.

    A square has the four variants with these levels that are equal in all else. The result is empty
    if there is none whose variants have a seed in common.
    """
    axis, level, against = first
    other, other_level, other_against = second
    there = _pairs_at(variants, axis, level, against, other, other_against)
    squares = [
        (a, b, c, d)
        for a, b in _pairs_at(variants, axis, level, against, other, other_level)
        for c, d in there
        if _differ_only_in(a, c, other) and _differ_only_in(b, d, other)
        if set.intersection(*(set(one.seeds) for one in (a, b, c, d)))
    ]
    weights: dict[str, float] = {}
    for square in squares:
        for variant, sign in zip(square, (1, -1, -1, 1), strict=True):
            weights[variant.label] = weights.get(variant.label, 0.0) + sign / len(squares)
    return weights


def _pairs_at(
    variants: Sequence[VariantTrials],
    axis: str,
    level: str,
    against: str,
    other: str,
    other_level: str,
) -> list[Pair]:
    here = [one for one in variants if level_at(one, other) == other_level]
    ours = [one for one in here if level_at(one, axis) == level]
    theirs = [one for one in here if level_at(one, axis) == against]
    return list(_pairs(ours, theirs, axis))


def _pairs(
    ours: Sequence[VariantTrials], theirs: Sequence[VariantTrials], axis: str
) -> Iterator[Pair]:
    """Each of ours with each of theirs that differs from it in `axis` alone.

    Of many variants only those are looked at that agree in all that each of them uses.
    """
    ignored = {axis}.union(*(unused_settings(one.fields) for one in (*ours, *theirs)))
    names = sorted({name for one in (*ours, *theirs) for name in one.fields} - ignored)
    alike: dict[tuple[str | None, ...], list[VariantTrials]] = {}
    for one in theirs:
        alike.setdefault(tuple(map(one.fields.get, names)), []).append(one)
    for a in ours:
        for b in alike.get(tuple(map(a.fields.get, names)), ()):
            if _differ_only_in(a, b, axis):
                yield a, b


def _differ_only_in(a: VariantTrials, b: VariantTrials, axis: str) -> bool:
    # A setting that one of them does not use follows from another one.
    ignored = {axis} | unused_settings(a.fields) | unused_settings(b.fields)
    names = (a.fields.keys() | b.fields.keys()) - ignored
    return all(a.fields.get(name) == b.fields.get(name) for name in names)


def _balanced(pairs: Sequence[Pair]) -> tuple[list[Pair], tuple[int, ...]]:
    """Either all pairs with the seeds that they share, or the pairs that have every seed."""
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
