"""The verdict: what the sweep shows, in sentences that claim no more than the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnn_pipeline.base.quantities import percent, signed
from cnn_pipeline.comparison import numbers
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

_FEW_SEEDS = 2
_MOST_IN_A_SENTENCE = 6


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
) -> Verdict:
    """Write the verdict; `pairwise` compares the first ranked of `rows` with the others."""
    ranked = [row for row in rows if row.rank is not None]
    failed = _failures(rows)
    if not ranked:
        headline = "No variant can be chosen: no trial finished with a validation accuracy."
        return Verdict(headline, (headline, *failed), basis="none")
    choice = ranked[0]
    standing = _standing(pairwise)
    alike = _labels(standing.alike)
    cheapest = _cheapest(choice, [row for row in ranked if row.label in alike])
    basis = _basis(pairwise)
    return Verdict(
        headline=_headline(choice.label, standing, basis),
        sentences=(
            *_choice(sweep, num_validation, ranked),
            *(setting_sentence(axis) for axis in axes),
            *_comparisons(choice.label, standing),
            *_cost(choice, cheapest, standing),
            *_expected(expectations),
            *failed,
            _rests_on(sweep, ranked, basis),
            *_correction(pairwise, axes, expectations),
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
        better=tuple(d for d in pairwise if d.sure and (d.estimate or 0) > 0),
        worse=tuple(d for d in pairwise if d.sure and (d.estimate or 0) < 0),
        alike=tuple(d for d in pairwise if d.p_corrected is not None and not d.sure),
        untested=tuple(d for d in pairwise if d.p_corrected is None),
    )


def _headline(name: str, standing: _Standing, basis: Basis) -> str:
    better, worse, alike, untested = (
        _labels(group)
        for group in (standing.better, standing.worse, standing.alike, standing.untested)
    )
    others = len(better) + len(worse) + len(alike) + len(untested)
    if not others:
        return f"{name} is the only variant that finished: there is nothing to compare it with."
    if len(better) == others:
        rest = "the other variant" if others == 1 else f"all {others} other variants"
        where = " among these trained networks (one seed)" if basis == "models" else ""
        return f"{name} wins{where}: it is surely better on the test images than {rest}."
    if worse:
        return (
            f"No clear winner: {name} is best on validation, but surely worse on the test images "
            f"than {numbers.in_words(worse)}."
        )
    if len(untested) == others:
        return f"{name} is best on validation; no test of that on the test images is possible."
    parts = [f"No single winner: {name} is best on validation"]
    if better:
        parts.append(f"surely better on the test images than {len(better)} of {others} others")
    if alike:
        parts.append(f"not to be told apart from {numbers.in_words(alike)}")
    if untested:
        parts.append(f"not tested against {numbers.in_words(untested)}")
    return "; ".join(parts) + "."


def _choice(sweep: SweepInfo, num_validation: int, ranked: Sequence[Row]) -> list[str]:
    choice = ranked[0]
    seeds = f", mean of {len(choice.seeds)} seeds" if len(choice.seeds) > 1 else ""
    text = (
        f"Chosen on {num_validation:,} validation images: {choice.label}, "
        f"{percent(choice.validation_accuracy, 2)} right there{seeds}."
    )
    if choice.test_accuracy is None:
        test = "Its test accuracy is not known."
    else:
        test = (
            f"On the {sweep.num_test:,} test images it gets {percent(choice.test_accuracy)} right"
        )
        if choice.test_interval is None:
            test += " (the seeds agree, so no interval can be given)."
        else:
            test += f" (95 % interval {numbers.percent_range(choice.test_interval)})."
    sentences = [f"{text} {test}"]
    tied = [
        row.label for row in ranked[1:] if row.validation_accuracy == choice.validation_accuracy
    ]
    if tied:
        has = "has" if len(tied) == 1 else "have"
        sentences.append(
            f"{numbers.in_words(tied)} {has} exactly the same validation accuracy; the one with "
            "fewer MACs, then fewer parameters, is taken."
        )
    return sentences


def _comparisons(name: str, standing: _Standing) -> list[str]:
    sentences = []
    if standing.better:
        sentences.append(
            f"{name} is surely more accurate on test than {_with_evidence(standing.better)}."
        )
    if standing.worse:
        sentences.append(
            f"{name} is surely less accurate on test than {_with_evidence(standing.worse)}. The "
            "choice stays with validation, since a choice made on test would flatter its own test "
            "accuracy; more seeds or validation images would settle it."
        )
    if standing.alike:
        sentences.append(
            f"{name} cannot be told apart on test from {_with_evidence(standing.alike)}. That "
            "does not prove them equal: the intervals say how large a difference may be."
        )
    reasons: dict[str, list[str]] = {}
    for difference in standing.untested:
        reasons.setdefault(difference.reason, []).append(difference.against)
    sentences += [
        f"{name} could not be tested against {numbers.in_words(labels)}: {reason}."
        for reason, labels in reasons.items()
    ]
    return sentences


def _with_evidence(differences: Sequence[Difference]) -> str:
    if len(differences) <= _MOST_IN_A_SENTENCE:
        return numbers.in_words([f"{d.against} ({evidence(d)})" for d in differences])
    estimates = [d.estimate for d in differences if d.estimate is not None]
    return (
        f"{numbers.in_words(_labels(differences))} ({signed(min(estimates))} to "
        f"{signed(max(estimates))} points; the table has the intervals)"
    )


def _cheapest(choice: Row, alike: Sequence[Row]) -> Row:
    """Fewest MACs, then parameters, among `choice` and `alike`; ties go to `choice`."""
    known = [row for row in (choice, *alike) if row.macs is not None and row.num_params is not None]
    if choice not in known:
        return choice
    return min(known, key=lambda row: (row.macs, row.num_params))


def _cost(choice: Row, cheapest: Row, standing: _Standing) -> list[str]:
    if not standing.alike or not choice.macs or not choice.num_params:
        return []
    if cheapest is choice:
        return [
            (
                f"If cost matters, {choice.label} remains the choice: nothing that cannot be told "
                "apart from it has fewer MACs."
            )
        ]
    params = (cheapest.num_params or 0) / choice.num_params
    macs = (cheapest.macs or 0) / choice.macs
    text = (
        f"If cost matters: {cheapest.label} is the cheapest of these, with "
        f"{cost_ratios(params, macs)} "
        f"{choice.label}; it gets {percent(cheapest.test_accuracy)} of the test images "
        "right"
    )
    found = next(d for d in standing.alike if d.against == cheapest.label)
    if found.interval and found.interval.high > 0:
        text += f" and may be up to {100 * found.interval.high:.2f} points less accurate"
    return [f"{text}."]


def _failures(rows: Sequence[Row]) -> list[str]:
    sentences = [
        f"{row.label} is not ranked ({row.status}): {_without_stop(row.reason)}."
        for row in rows
        if row.rank is None
    ]
    return sentences + [
        f"{row.label} is ranked on {len(row.seeds)} of {len(row.seeds) + len(row.failed_seeds)} "
        f"seeds: {_without_stop(row.reason)}."
        for row in rows
        if row.rank is not None and row.failed_seeds
    ]


def _basis(pairwise: Sequence[Difference]) -> Basis:
    found = {d.basis for d in pairwise if d.basis != "none"}
    if len(found) > 1:
        return "mixed"
    return found.pop() if found else "none"


def _rests_on(sweep: SweepInfo, ranked: Sequence[Row], basis: Basis) -> str:
    images = f"{sweep.num_test:,} test images"
    fewest, most = min(len(row.seeds) for row in ranked), max(len(row.seeds) for row in ranked)
    if basis == "models":
        return (
            "This rests on one seed of each variant: it speaks about these trained networks on "
            f"the same {images} (McNemar's mid-p test on paired answers), not about the recipes. "
            "Another seed gives other networks, and seeds differ; to compare the recipes, run "
            "with --seeds 0,1,2."
        )
    if basis == "mixed":
        return (
            "This rests on several seeds for some variants (Welch's t test: the recipes) and on "
            f"one for others (McNemar's mid-p test on the same {images}: only these trained "
            "networks). For recipes throughout, run with --seeds 0,1,2."
        )
    if most == 1:
        return (
            "This rests on one seed: an interval speaks about the trained network and the "
            f"{images}, not about the recipe; for that, run with --seeds 0,1,2."
        )
    seeds = str(most) if fewest == most else f"{fewest} to {most}"
    text = (
        f"This rests on {seeds} seeds per variant, all scored on the same {images}: it speaks "
        "about the recipes, through the spread of their seeds (Welch's t test between two "
        "variants, t over seeds for a setting)."
    )
    if fewest == _FEW_SEEDS:
        text += (
            " Two seeds say little about their spread, so only large differences can be shown; "
            "run with --seeds 0,1,2,3,4 for more."
        )
    return text


def _correction(
    pairwise: Sequence[Difference],
    axes: Sequence[AxisEffects],
    expectations: Sequence[ExpectationCheck],
) -> list[str]:
    contrasts = [effect for axis in axes for effect in axis.contrasts]
    expected = [check.difference for check in expectations if check.difference]
    groups = (
        ("with the choice", pairwise),
        ("between levels of settings", contrasts),
        ("expected beforehand", expected),
    )
    counted = [
        f"{tests} {name}"
        for name, group in groups
        if (tests := sum(found.p_corrected is not None for found in group))
    ]
    if not counted:
        return []
    text = (
        "'Surely' means p < 0.05 after Holm's correction for the number of comparisons in a group "
        f"({numbers.in_words(counted)}); each interval is for its own comparison alone."
    )
    return [text]


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
