"""Check what was expected before the run."""

from __future__ import annotations

import math

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.quantities import duration, percent
from cnn_pipeline.comparison import numbers, scope
from cnn_pipeline.comparison.evidence import Evidence, family
from cnn_pipeline.comparison.pairs import compare_pair
from cnn_pipeline.comparison.statistics import welch
from cnn_pipeline.comparison.types import Difference, ExpectationCheck, Expected, Outcome, SweepInfo
from cnn_pipeline.comparison.variants import VariantTrials

TIMING_TOLERANCE = 0.10
"""Two single timings that differ by less than this share are taken as equal."""


def check_expectations(evidence: Evidence, sweep: SweepInfo) -> tuple[ExpectationCheck, ...]:
    """Check every expectation of the sweep, in its order.

    An expected difference in accuracy is decided about recipes only; the intervals of all of them
    hold at once. Parameters and MACs are exact. Training times are compared by Welch's t interval
    on their logarithms; with one timing each, a difference of at least 10 % counts.
    """
    by_label = {label: one for label, one in evidence.variants.items() if one.trials}
    listed = [(label, e) for label, items in sweep.expectations.items() for e in items]
    on_accuracy = {
        (label, expected): None
        for label, expected in listed
        if expected.metric == metric_names.TEST_ACCURACY
        and sweep.metric == "accuracy"
        and {label, expected.against} <= by_label.keys()
    }
    tested = {
        (label, e): compare_pair(evidence, label, e.against, family(len(on_accuracy)))
        for label, e in on_accuracy
    }
    return tuple(_check(sweep, label, expected, by_label, tested) for label, expected in listed)


def _check(
    sweep: SweepInfo,
    label: str,
    expected: Expected,
    by_label: dict[str, VariantTrials],
    tested: dict[tuple[str, Expected], Difference],
) -> ExpectationCheck:
    missing = [name for name in (label, expected.against) if name not in by_label]
    if missing:
        reason = f"{numbers.in_words(missing)} did not finish"
        return ExpectationCheck(label, expected, "cannot say", "not measured", reason)
    if expected.metric == metric_names.TEST_ACCURACY:
        if sweep.metric != "accuracy":
            reason = f"the sweep is compared by {scope.measure(sweep)}, not by accuracy"
            return ExpectationCheck(label, expected, "cannot say", "not measured", reason)
        return _check_accuracy(label, expected, tested[label, expected])
    return _check_cost(label, expected, by_label[label], by_label[expected.against])


def _check_accuracy(label: str, expected: Expected, found: Difference) -> ExpectationCheck:
    if found.estimate is None:
        measured = "not measured"
    else:
        measured = numbers.points(found.estimate, found.interval)
    if found.significant and found.basis == "recipes":
        reason, outcome = "", _outcome(found.estimate or 0.0, expected)
    else:
        reason = found.reason or "no significant difference"
        outcome = "cannot say"
    return ExpectationCheck(label, expected, outcome, measured, reason, difference=found)


def _check_cost(
    label: str, expected: Expected, variant: VariantTrials, against: VariantTrials
) -> ExpectationCheck:
    ours, theirs = variant.mean(expected.metric), against.mean(expected.metric)
    if not ours or not theirs or ours < 0 or theirs < 0:
        reason = f"the metric {expected.metric} is missing or zero"
        return ExpectationCheck(label, expected, "cannot say", "not measured", reason)
    ratio = ours / theirs
    reason = ""
    if expected.metric == metric_names.TRAIN_SECONDS:
        reason = _timing_doubt(variant, against)
    return ExpectationCheck(
        label,
        expected,
        outcome="cannot say" if reason else _outcome(math.log(ratio), expected),
        measured=f"{numbers.ratio(ratio)} ({_cost(expected.metric, ours)} against "
        f"{_cost(expected.metric, theirs)})",
        reason=reason,
        ratio=ratio,
    )


def _outcome(change: float, expected: Expected) -> Outcome:
    wanted = change > 0 if expected.direction == "higher" else change < 0
    return "held" if wanted else "did not hold"


def _timing_doubt(variant: VariantTrials, against: VariantTrials) -> str:
    """Why the training times do not differ significantly; empty if they do."""
    ours, theirs = (
        [
            math.log(seconds)
            for trial in side.trials
            if (seconds := trial.result.metric(metric_names.TRAIN_SECONDS)) is not None
            and seconds > 0
        ]
        for side in (variant, against)
    )
    if len(ours) > 1 and len(theirs) > 1:
        found = welch(ours, theirs)
        if found.interval is None or found.interval.excludes_zero:
            return ""
        return "the timings of the seeds overlap"
    if abs(ours[0] - theirs[0]) > math.log(1 + TIMING_TOLERANCE):
        return ""
    return f"one timing each, and they differ by less than {percent(TIMING_TOLERANCE, 0)}"


def _cost(metric: str, value: float) -> str:
    if metric == metric_names.TRAIN_SECONDS:
        return duration(value)
    return numbers.count(value) if metric == metric_names.NUM_PARAMS else numbers.scaled(value)
