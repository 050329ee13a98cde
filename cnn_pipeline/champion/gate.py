"""Decide whether a challenger may replace the champion, with reasons.

Nothing here loads, scores or writes. Every rule is reported with what it requires and what was
measured, even if it could not be measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.metric_names import MEASURES, Metric
from cnn_pipeline.base.quantities import percent
from cnn_pipeline.champion.against import (
    MORE_ACCURATE,
    RECALL,
    RECIPE,
    STILL_KNOWS,
    in_terms_of,
    rules_against,
)
from cnn_pipeline.champion.requirements import GateSettings, Rule, unmeasured, unscored
from cnn_pipeline.champion.scores import Candidate, Score
from cnn_pipeline.network.image_scores import of_one_answer

MAJORITY = "better than the majority class"

GateDecision = Literal["promote", "keep"]


@dataclass(frozen=True)
class GateResult:
    """All rules and the decision."""

    rules: tuple[Rule, ...]
    passed: bool
    decision: GateDecision
    reason: str
    """One sentence."""


def judge(
    challenger: Candidate,
    champion: Candidate | None,
    class_names: tuple[str, ...],
    settings: GateSettings,
    metric: Metric = "accuracy",
) -> GateResult:
    """Compare a challenger with the champion, or with the majority class if there is none.

    Both must have been scored on the same test images in the same order. `metric` is that of the
    sweep: what must be better.

    Raises:
        ValueError: the scores are of different test images.
    """
    ours = challenger.score
    theirs = champion.score if champion else None
    if ours and theirs and not np.array_equal(ours.labels, theirs.labels):
        raise ValueError(
            "challenger and champion must be scored on the same test images, received labels "
            f"of {len(ours.labels)} and {len(theirs.labels)} images that differ"
        )
    rules = [
        _loads(challenger), _finite(challenger), *_alone(challenger, champion, settings, metric)
    ]  # fmt: skip
    if champion is not None:
        rules += [
            replace(
                rule,
                name=in_terms_of(metric, rule.name),
                refusal=in_terms_of(metric, rule.refusal),
            )
            for rule in rules_against(challenger, champion, class_names, settings, metric)
        ]
    # Only what failed has a refusal.
    rules = [replace(rule, refusal="") if rule.passed else rule for rule in rules]
    passed = all(rule.passed for rule in rules)
    return GateResult(
        rules=tuple(rules),
        passed=passed,
        decision="promote" if passed else "keep",
        reason=_reason(challenger, champion, rules, metric),
    )


def _reason(
    challenger: Candidate, champion: Candidate | None, rules: list[Rule], metric: Metric
) -> str:
    failed = [rule for rule in rules if not rule.passed]
    if failed:
        refusals = "; ".join(dict.fromkeys(rule.refusal for rule in failed))
        return refusals + _way_out(challenger, rules, metric)
    assert challenger.score is not None
    reached = f"test {MEASURES[metric]} {percent(challenger.score.value(metric), 2)}"
    if champion is None or champion.score is None:
        return f"{challenger.name} is the first champion: {reached}"
    return (
        f"{challenger.name} replaces {champion.name}: {reached} against "
        f"{percent(champion.score.value(metric), 2)}"
    )


def _way_out(challenger: Candidate, rules: list[Rule], metric: Metric) -> str:
    """How to promote a more accurate model that only a rule for a person to judge refuses."""
    failed = {rule.name for rule in rules if not rule.passed}
    more = in_terms_of(metric, MORE_ACCURATE)
    better = next((rule for rule in rules if rule.name == more and rule.passed), None)
    if better is None or not failed <= {in_terms_of(metric, RECIPE), RECALL, STILL_KNOWS}:
        return ""
    return (
        f". Over all test images it is {in_terms_of(metric, 'more accurate')} "
        f"({better.measured}). To promote it anyway: "
        f"`cnn-pipeline promote {challenger.run_id} --why TEXT`"
    )


def _loads(challenger: Candidate) -> Rule:
    return Rule(
        "loads from the registry",
        "the file has its recorded SHA-256 and loads without running code",
        challenger.fault or "yes",
        challenger.score is not None,
        unscored(challenger),
    )


def _finite(challenger: Candidate) -> Rule:
    required = "every metric and probability is finite"
    if challenger.score is None:
        return unmeasured("finite numbers", required, challenger)
    # MLflow stores infinity as the largest double.
    bad = sorted(
        name
        for name, value in challenger.metrics.items()
        if not math.isfinite(value) or abs(value) > 1e300
    )
    faults = [f"metric {name} is not" for name in bad]
    if not challenger.score.finite:
        faults.append("some probabilities are not")
    measured = "; ".join(faults) or "all are"
    return Rule(
        "finite numbers", required, measured, not faults, f"not all numbers are finite ({measured})"
    )


def _alone(
    challenger: Candidate, champion: Candidate | None, settings: GateSettings, metric: Metric
) -> list[Rule]:
    """Requirements of the first model too."""
    score = challenger.score
    logged = challenger.metrics.get(metric_names.TEST_ACCURACY)
    as_logged = "none" if logged is None else f"{logged:.6f}"
    least = f"{settings.min_gain_over_majority * 100:g} %"
    own = "share" if metric == "accuracy" else MEASURES[metric]
    texts = {
        "same test accuracy": "exactly "
        + ("the logged one, which is missing" if logged is None else f"{as_logged}, as logged"),
        "classifies a PNG file": "the class of the same image as an array",
        "latency": f"at most {settings.max_latency_ms:g} ms per image; on a busy host by the "
        "champion's logged latency",
        "size": f"at most {settings.max_model_bytes:,} bytes",
        MAJORITY: f"at least {least} of the way from its {own} to 100 %",
    }
    if score is None:
        return [unmeasured(name, required, challenger) for name, required in texts.items()]
    majority = of_one_answer(metric, score.labels)
    way, way_text = _way_to_perfect(score.value(metric), majority)
    latency, latency_text = _latency(score, champion, settings.max_latency_ms)
    png = f"class {score.png_class}, as an array {score.array_class}"
    measured = {
        "same test accuracy": (
            f"{score.accuracy:.6f}",
            score.accuracy == logged,
            f"another test accuracy than logged ({score.accuracy:.6f} now, {as_logged} logged)",
        ),
        "classifies a PNG file": (
            png,
            score.png_class == score.array_class,
            f"an image as a PNG file gets another class than as an array ({png})",
        ),
        "latency": (
            latency_text,
            latency <= settings.max_latency_ms,
            f"too slow ({latency_text} per image; allowed {settings.max_latency_ms:g})",
        ),
        "size": (
            f"{score.model_bytes:,} bytes",
            score.model_bytes <= settings.max_model_bytes,
            f"too large ({score.model_bytes:,} bytes; allowed {settings.max_model_bytes:,})",
        ),
        MAJORITY: (
            way_text,
            way >= settings.min_gain_over_majority,
            f"not enough better than the majority class ({way_text}; needed {least} or more)",
        ),
    }
    return [
        Rule(name, texts[name], text, passed, refusal)
        for name, (text, passed, refusal) in measured.items()
    ]


def _way_to_perfect(accuracy: float, majority: float) -> tuple[float, str]:
    """Which share of the majority class' error a model avoids, and how a rule says it.

    A share of the error, not points: above 90 % no model is ten points better, however good.
    """
    if majority == 1:
        return 0.0, "all test images are of one class"
    way = (accuracy - majority) / (1 - majority)
    # What is short of a tenth by rounding alone is a tenth.
    way = round(way, 12)
    return way, (
        f"{percent(accuracy, 2)}, {100 * way:.1f} % of the way from {percent(majority, 2)} to 100 %"
    )


def _latency(score: Score, champion: Candidate | None, most: float) -> tuple[float, str]:
    """Milliseconds per image that count, and how a rule says them.

    Other work on the host slows challenger and champion alike, so their ratio still holds. With
    what the champion's run logged it gives a latency that such work does not change.
    """
    logged = champion.metrics.get(metric_names.LATENCY_MS) if champion else None
    now = f"{score.latency_ms:.2f} ms"
    if score.slowdown is None:
        return score.latency_ms, now
    ratio = f"{score.slowdown:.2f} times the champion's"
    if logged is None or score.latency_ms <= most or score.slowdown * logged >= score.latency_ms:
        return score.latency_ms, f"{now}, {ratio}"
    usual = score.slowdown * logged
    return usual, f"{usual:.2f} ms: {ratio}, which logged {logged:.2f} ms; {now} on the host now"
