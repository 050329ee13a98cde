"""The verdict: what the sweep shows, in sentences that claim no more than the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnn_pipeline.base.quantities import MOST, counted, percent, signed
from cnn_pipeline.comparison import numbers, scope
from cnn_pipeline.comparison.headline import headline
from cnn_pipeline.comparison.setting_sentences import cost_ratios, evidence, setting_sentence
from cnn_pipeline.comparison.types import (
    AxisEffects,
    Basis,
    Difference,
    ExpectationCheck,
    Row,
    SweepInfo,
    Verdict,
)

_MOST_IN_A_SENTENCE = 6


@dataclass(frozen=True)
class Precision:
    """How small a difference the sweep could show; see the fields of `Comparison`."""

    smallest_difference: float | None = None
    seeds_needed: int | None = None
    unequal_spread: str | None = None


@dataclass(frozen=True)
class _Standing:
    """Comparisons with the chosen variant by their result; `estimate` is its lead."""

    better: tuple[Difference, ...]
    worse: tuple[Difference, ...]
    alike: tuple[Difference, ...]
    untested: tuple[Difference, ...]


def write_verdict(
    sweep: SweepInfo,
    num_validation: int,
    rows: Sequence[Row],
    pairwise: Sequence[Difference],
    axes: Sequence[AxisEffects],
    expectations: Sequence[ExpectationCheck],
    precision: Precision = Precision(),
) -> Verdict:
    """Write the verdict; `pairwise` compares the first ranked of `rows` with the others."""
    ranked = [row for row in rows if row.rank is not None]
    failed = _failures(rows)
    if not ranked:
        nothing = "No variant can be chosen: no trial finished with a validation accuracy."
        return Verdict(nothing, (nothing, *failed), basis="none")
    choice = ranked[0]
    standing = _standing(pairwise)
    alike = _labels(standing.alike)
    cheapest = _cheapest(choice, [row for row in ranked if row.label in alike])
    basis = _basis(pairwise)
    return Verdict(
        headline=headline(sweep, ranked, pairwise),
        sentences=(
            *_best(sweep, ranked),
            *_precision(sweep, ranked, precision),
            *_choice(sweep, num_validation, ranked),
            *(setting_sentence(axis, scope.on_ranking(sweep), scope.unit(sweep)) for axis in axes),
            *_comparisons(sweep, choice.label, standing, basis),
            *_cost(sweep, choice, cheapest, standing),
            *_expected(expectations),
            *failed,
            *scope.caveats(sweep),
            _rests_on(sweep, ranked, basis),
            *_significant(pairwise, axes, precision),
        ),
        basis=basis,
        chosen=choice.label,
        better_than=_labels(standing.better),
        worse_than=_labels(standing.worse),
        indistinguishable=alike,
        untested=_labels(standing.untested),
        cheapest=cheapest.label,
    )


def _standing(pairwise: Sequence[Difference]) -> _Standing:
    return _Standing(
        better=tuple(d for d in pairwise if d.significant and (d.estimate or 0) > 0),
        worse=tuple(d for d in pairwise if d.significant and (d.estimate or 0) < 0),
        alike=tuple(d for d in pairwise if d.interval is not None and not d.significant),
        untested=tuple(d for d in pairwise if d.interval is None),
    )


def _best(sweep: SweepInfo, ranked: Sequence[Row]) -> list[str]:
    """Which variants may still be best, and which are as good for practical purposes."""
    sentences = []
    if best := [row.label for row in ranked if row.may_be_best]:
        sentences.append(f"May still be best: {numbers.listed(best)}.")
    known = [row for row in ranked if row.within_margin is not None]
    if len(known) > 1:
        close = [row.label for row in known if row.within_margin]
        margin = numbers.points_of(sweep.margin)
        sentences.append(
            f"Equal for practical purposes, within {margin} of the best: {numbers.listed(close)}."
            if len(close) > 1
            else f"No two variants are shown to be equal for practical purposes, within {margin}."
        )
    return sentences


def _precision(sweep: SweepInfo, ranked: Sequence[Row], precision: Precision) -> list[str]:
    """The smallest difference that the seeds could have shown, and how many seeds more it takes."""
    if precision.smallest_difference is None:
        return []
    have = max(len(row.seeds) for row in ranked)
    smallest = numbers.points_of(precision.smallest_difference)
    margin = numbers.points_of(sweep.margin)
    unit = scope.unit(sweep)
    these = counted(have, unit)
    text = f"The smallest difference that {these} could have shown: {smallest}."
    if precision.seeds_needed is None:
        more = (
            f"More {unit}s alone cannot show a difference of {margin}: that takes more test images."
        )
    elif precision.seeds_needed > have:
        wanted = counted(precision.seeds_needed - have, f"more {unit}")
        wanted += " of each" if unit == "run" else ""
        more = f"To show a difference of {margin}: {wanted}."
    else:
        more = f"To show a difference of {margin}: no more {unit}s are needed."
    return [text, more]


def _choice(sweep: SweepInfo, num_validation: int, ranked: Sequence[Row]) -> list[str]:
    choice = ranked[0]
    seeds = f", mean of {len(choice.seeds)} {scope.unit(sweep)}s" if len(choice.seeds) > 1 else ""
    if sweep.runs is None:
        text = (
            f"Chosen on {num_validation:,} validation images: {choice.label}, "
            f"{_there(sweep, percent(choice.validation_accuracy, 2))}{seeds}."
        )
    else:
        text = f"Ranked by {sweep.runs.ranked_by}: {choice.label} is first{seeds}."
    if choice.test_accuracy is None:
        test = f"Its test {scope.measure(sweep)} is not known."
    else:
        where = f"{sweep.num_test:,} test images" if sweep.num_test else "test images"
        share = percent(choice.test_accuracy)
        test = f"On the {where} it gets {share} right"
        if sweep.metric != "accuracy":
            test = f"On the {where} its {scope.measure(sweep)} is {share}"
        if choice.test_interval is None:
            units = f"{scope.unit(sweep)}s"
            test += f" (no interval can be given: the {units} are too few, or agree)."
        else:
            test += f" (95 % interval {numbers.percent_range(choice.test_interval)})."
    sentences = [f"{text} {test}"]
    tied = [
        row.label for row in ranked[1:] if row.validation_accuracy == choice.validation_accuracy
    ]
    if tied:
        has = "has" if len(tied) == 1 else "have"
        sentences.append(
            f"{numbers.listed(tied)} {has} exactly the same {scope.ranked_by(sweep)}; the one "
            "with fewer MACs, then fewer parameters, is taken."
        )
    return sentences


def _there(sweep: SweepInfo, share: str) -> str:
    if sweep.metric == "accuracy":
        return f"{share} right there"
    return f"{scope.measure(sweep)} {share} there"


def _comparisons(sweep: SweepInfo, name: str, standing: _Standing, basis: Basis) -> list[str]:
    sentences = []
    name = f"The network {name}" if basis == "models" else name
    if standing.better:
        sentences.append(
            f"{name} is significantly {scope.more(sweep)} on test than "
            f"{_with_evidence(standing.better)}."
        )
    if standing.worse:
        sentences.append(
            f"{name} is significantly {scope.more(sweep, 'less')} on test than "
            f"{_with_evidence(standing.worse)}. The choice stays with validation, since a choice "
            f"made on test would flatter its own test {scope.measure(sweep)}; more seeds or "
            "validation images would settle it."
        )
    if standing.alike:
        sentences.append(
            f"{name} shows no significant difference on test from "
            f"{_with_evidence(standing.alike)}. That does not prove them equal: the intervals say "
            "how large a difference may be."
        )
    reasons: dict[str, list[str]] = {}
    for difference in standing.untested:
        reasons.setdefault(difference.reason, []).append(difference.against)
    sentences += [
        f"{name} could not be tested against {numbers.listed(labels)}: {reason}."
        for reason, labels in reasons.items()
    ]
    return sentences


def _with_evidence(differences: Sequence[Difference]) -> str:
    if len(differences) <= _MOST_IN_A_SENTENCE:
        return numbers.in_words([f"{d.against} ({evidence(d)})" for d in differences])
    estimates = [d.estimate for d in differences if d.estimate is not None]
    return (
        f"{numbers.listed(_labels(differences))} ({signed(min(estimates))} to "
        f"{signed(max(estimates))} points; the table has the intervals)"
    )


def _cheapest(choice: Row, alike: Sequence[Row]) -> Row:
    """Fewest MACs, then parameters, among `choice` and `alike`; ties go to `choice`."""
    known = [row for row in (choice, *alike) if row.macs is not None and row.num_params is not None]
    if choice not in known:
        return choice
    return min(known, key=lambda row: (row.macs, row.num_params))


def _cost(sweep: SweepInfo, choice: Row, cheapest: Row, standing: _Standing) -> list[str]:
    if not standing.alike or not choice.macs or not choice.num_params:
        return []
    if cheapest is choice:
        return [
            f"If cost matters, {choice.label} remains the choice: no variant without a "
            "significant difference from it has fewer MACs."
        ]
    params = (cheapest.num_params or 0) / choice.num_params
    macs = (cheapest.macs or 0) / choice.macs
    text = (
        f"If cost matters: {cheapest.label} is the cheapest without a significant difference, with "
        f"{cost_ratios(params, macs)} "
        f"{choice.label}; {scope.amount(sweep, percent(cheapest.test_accuracy), 'test images')}"
    )
    found = next(d for d in standing.alike if d.against == cheapest.label)
    if found.interval and found.interval.high > 0:
        less = scope.more(sweep, "less")
        text += f" and may be up to {100 * found.interval.high:.2f} points {less}"
    return [f"{text}."]


def _failures(rows: Sequence[Row]) -> list[str]:
    lost = [
        f"{row.label} is not ranked ({row.status}): {_without_stop(row.reason)}."
        for row in rows
        if row.rank is None
    ]
    partial = [
        f"{row.label} is ranked on {len(row.seeds)} of {len(row.seeds) + len(row.failed_seeds)} "
        f"seeds: {_without_stop(row.reason)}."
        for row in rows
        if row.rank is not None and row.failed_seeds
    ]
    return [*_first(lost, "not ranked"), *_first(partial, "ranked on some of their seeds")]


def _first(sentences: Sequence[str], what: str) -> list[str]:
    """The first sentences of many, and how many variants more are so."""
    left_out = len(sentences) - MOST
    more = [f"{left_out} more variants are {what}."] if left_out > 0 else []
    return [*sentences[:MOST], *more]


def _basis(pairwise: Sequence[Difference]) -> Basis:
    found = {d.basis for d in pairwise if d.basis != "none"}
    if len(found) > 1:
        return "mixed"
    return found.pop() if found else "none"


def _rests_on(sweep: SweepInfo, ranked: Sequence[Row], basis: Basis) -> str:
    images = f"{sweep.num_test:,} test images" if sweep.num_test else "test images"
    fewest, most = min(len(row.seeds) for row in ranked), max(len(row.seeds) for row in ranked)
    if most == 1:
        return (
            f"This rests on one seed and the {images}: intervals and 'significantly' are about "
            "these trained networks on images like these, not about the settings. Another seed "
            "gives other networks. To compare the settings, add seeds: --seeds 0,1,2."
        )
    if basis == "models":
        return (
            f"This rests on {most} seeds per variant, too few to say what other seeds give: "
            "intervals and 'significantly' are about these trained networks on images like the "
            f"{images}."
        )
    if basis == "mixed":
        return (
            "This rests on several seeds for some variants (intervals for new seeds and new "
            f"images) and on one for others (for these trained networks on images like the {images}"
            "). To compare all settings, give every variant several seeds."
        )
    seeds = str(most) if fewest == most else f"{fewest} to {most}"
    new = "new seeds and new images" if sweep.num_test else "new seeds, not for new images"
    return (
        f"This rests on {seeds} {scope.unit(sweep)}s per variant and the same {images} for all: "
        f"the intervals allow for {new}."
    )


def _significant(
    pairwise: Sequence[Difference], axes: Sequence[AxisEffects], precision: Precision
) -> list[str]:
    """What 'significantly' means, if there is an interval that decides."""
    effects = (effect for axis in axes for effect in axis.contrasts)
    if not any(one.interval for one in pairwise) and not any(one.interval for one in effects):
        return []
    text = (
        "'Significantly' means that the printed interval excludes zero. The 95 % intervals hold "
        "together for all pairs of variants, and together for all effects of settings."
    )
    why = precision.unequal_spread
    return [text, *([f"{why[0].upper()}{why[1:]}."] if why else [])]


def _expected(expectations: Sequence[ExpectationCheck]) -> list[str]:
    if not expectations:
        return []
    outcomes = [check.outcome for check in expectations]
    return [
        (
            f"Of {len(outcomes)} expectation{'s' if len(outcomes) > 1 else ''}, "
            f"{outcomes.count('held')} held, {outcomes.count('did not hold')} did not, and "
            f"{outcomes.count('cannot say')} cannot be decided."
        )
    ]


def _labels(differences: Sequence[Difference]) -> tuple[str, ...]:
    return tuple(difference.against for difference in differences)


def _without_stop(reason: str) -> str:
    return reason.rstrip(". ")
