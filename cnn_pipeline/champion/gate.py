"""Decide whether a challenger may replace the champion, with reasons.

Nothing here loads, scores or writes. Every rule is reported with what it requires and what was
measured, even if it could not be measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.quantities import percent, signed
from cnn_pipeline.comparison.statistics import Interval, paired_interval
from cnn_pipeline.settings.trial import Settings

GateDecision = Literal["promote", "keep"]


class GateSettings(Settings):
    """Requirements of a challenger. Accuracies and recalls are shares from 0 to 1."""

    margin: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.0
    """The interval of challenger minus champion, in test accuracy, must be above this."""
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.95
    """Confidence level of that interval."""
    max_recall_loss: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    """Largest loss of recall of any class against the champion."""
    max_champion_loss: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """Largest drop of the champion below its logged accuracy; more means that the data changed."""
    max_latency_ms: Annotated[float, Field(gt=0.0, le=60_000.0)] = 50.0
    """Largest median latency for one image, in milliseconds."""
    max_model_bytes: Annotated[int, Field(ge=1, le=10**12)] = 50_000_000
    """Largest model file, in bytes."""
    min_gain_over_majority: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """Least test accuracy above the share of the largest class."""


@dataclass(frozen=True, eq=False)
class Score:
    """Predictions of a registered model, made now on the test images and on one image file."""

    labels: NDArray[np.int64]
    """True classes, int64 `[n]`."""
    predictions: NDArray[np.int64]
    """Predicted classes, int64 `[n]`; -1 if a probability is not finite."""
    latency_ms: float
    """Median milliseconds per image at batch size 1."""
    model_bytes: int
    finite: bool
    """Whether every probability is finite."""
    png_class: int
    """Predicted class of a test image as a PNG file."""
    array_class: int
    """Predicted class of the same image as an array."""

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each prediction is correct, bool `[n]`."""
        return np.asarray(self.labels == self.predictions)

    @property
    def accuracy(self) -> float:
        """Share of correct predictions."""
        return float(np.count_nonzero(self.correct) / len(self.labels))

    def recall(self, label: int) -> float | None:
        """Share of a class's images that were recognised; None if it has no image."""
        images = self.labels == label
        count = int(np.count_nonzero(images))
        return float(np.count_nonzero(self.correct & images) / count) if count else None


@dataclass(frozen=True)
class Candidate:
    """A challenger or a champion."""

    name: str
    """'f64-max-s0 (version 3)'."""
    score: Score | None = None
    fault: str = ""
    """Why there is no score, as a file that is not the registered one."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Metrics that its run logged."""


@dataclass(frozen=True)
class Rule:
    """A requirement, what was measured, and whether it passed."""

    name: str
    required: str
    measured: str
    passed: bool


@dataclass(frozen=True)
class GateResult:
    """All rules and the decision."""

    rules: tuple[Rule, ...]
    passed: bool
    decision: GateDecision
    reason: str


def judge(
    challenger: Candidate,
    champion: Candidate | None,
    class_names: tuple[str, ...],
    settings: GateSettings,
) -> GateResult:
    """Compare a challenger with the champion, or with the majority class if there is none.

    Both must have been scored on the same test images in the same order.

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
    rules = [_loads(challenger), _finite(challenger), *_alone(challenger, settings)]
    if champion is not None:
        rules += _against(challenger, champion, class_names, settings)
    failed = [rule for rule in rules if not rule.passed]
    passed = not failed
    return GateResult(
        rules=tuple(rules),
        passed=passed,
        decision="promote" if passed else "keep",
        reason=_reason(challenger, champion, failed),
    )


def _reason(challenger: Candidate, champion: Candidate | None, failed: list[Rule]) -> str:
    if failed:
        first = failed[0]
        more = f" ({len(failed) - 1} more of the gate's rules failed)" if len(failed) > 1 else ""
        return (
            f"{challenger.name} is refused: {first.name}: required {first.required}, "
            f"measured {first.measured}{more}"
        )
    assert challenger.score is not None
    accuracy = f"test accuracy {percent(challenger.score.accuracy, 2)}"
    if champion is None or champion.score is None:
        return f"{challenger.name} is the first champion: {accuracy}"
    return (
        f"{challenger.name} replaces {champion.name}: {accuracy} against "
        f"{percent(champion.score.accuracy, 2)}"
    )


def _loads(challenger: Candidate) -> Rule:
    return Rule(
        "loads from the registry",
        "the file has its recorded SHA-256 and loads without running code",
        challenger.fault or "yes",
        challenger.score is not None,
    )


def _finite(challenger: Candidate) -> Rule:
    required = "every metric and probability is finite"
    if challenger.score is None:
        return _unmeasured("finite numbers", required, challenger)
    # MLflow stores infinity as the largest double.
    bad = sorted(
        name
        for name, value in challenger.metrics.items()
        if not math.isfinite(value) or abs(value) > 1e300
    )
    faults = [f"metric {name} is not" for name in bad]
    if not challenger.score.finite:
        faults.append("some probabilities are not")
    return Rule("finite numbers", required, "; ".join(faults) or "all are", not faults)


def _alone(challenger: Candidate, settings: GateSettings) -> list[Rule]:
    """Requirements that do not depend on the champion."""
    score = challenger.score
    logged = challenger.metrics.get(metric_names.TEST_ACCURACY)
    texts = {
        "same test accuracy": "exactly "
        + ("the logged one, which is missing" if logged is None else f"{logged:.6f}, as logged"),
        "classifies a PNG file": "the class of the same image as an array",
        "latency": f"at most {settings.max_latency_ms:g} ms per image",
        "size": f"at most {settings.max_model_bytes:,} bytes",
        "better than the majority class": (
            f"at least {settings.min_gain_over_majority * 100:g} points above its share"
        ),
    }
    if score is None:
        return [_unmeasured(name, required, challenger) for name, required in texts.items()]
    majority = float(np.bincount(score.labels).max() / len(score.labels))
    gain = score.accuracy - majority
    measured = {
        "same test accuracy": (f"{score.accuracy:.6f}", score.accuracy == logged),
        "classifies a PNG file": (
            f"class {score.png_class}, as an array {score.array_class}",
            score.png_class == score.array_class,
        ),
        "latency": (f"{score.latency_ms:.2f} ms", score.latency_ms <= settings.max_latency_ms),
        "size": (f"{score.model_bytes:,} bytes", score.model_bytes <= settings.max_model_bytes),
        "better than the majority class": (
            f"{percent(score.accuracy, 2)}, {signed(gain)} points from {percent(majority, 2)}",
            gain >= settings.min_gain_over_majority,
        ),
    }
    return [Rule(name, texts[name], text, passed) for name, (text, passed) in measured.items()]


def _against(
    challenger: Candidate, champion: Candidate, class_names: tuple[str, ...], settings: GateSettings
) -> list[Rule]:
    """Requirements against the champion."""
    texts = {
        "more accurate than the champion": (
            f"{settings.confidence * 100:g} % interval of the difference above "
            f"{settings.margin * 100:g} points, and no tie"
        ),
        "no class loses recall": f"at most {settings.max_recall_loss * 100:g} points",
        "the champion still knows the test images": (
            f"at most {settings.max_champion_loss * 100:g} points below its logged accuracy; "
            "more means that images or labels are no longer the same kind"
        ),
    }
    for candidate in (challenger, champion):
        if candidate.score is None:
            return [_unmeasured(name, required, candidate) for name, required in texts.items()]
    ours, theirs = challenger.score, champion.score
    assert ours is not None and theirs is not None
    differences = ours.correct.astype(np.float64) - theirs.correct
    interval = paired_interval(differences, settings.confidence)
    difference = float(differences.mean())
    loss, label = _largest_recall_loss(ours, theirs, len(class_names))
    return [
        Rule(
            "more accurate than the champion",
            texts["more accurate than the champion"],
            _difference(difference, interval),
            interval.low > settings.margin and difference > 0,
        ),
        Rule(
            "no class loses recall",
            texts["no class loses recall"],
            f"{class_names[label]} loses {loss * 100:.2f} points" if loss > 0 else "none loses any",
            loss <= settings.max_recall_loss,
        ),
        _still_knows(
            "the champion still knows the test images",
            texts["the champion still knows the test images"],
            theirs,
            champion.metrics.get(metric_names.TEST_ACCURACY),
            settings.max_champion_loss,
        ),
    ]


def _still_knows(name: str, required: str, score: Score, logged: float | None, most: float) -> Rule:
    if logged is None:
        return Rule(name, required, "not measured: its run logged no test accuracy", False)
    text = f"{percent(score.accuracy, 2)} now, {percent(logged, 2)} logged"
    return Rule(name, required, text, logged - score.accuracy <= most)


def _largest_recall_loss(ours: Score, theirs: Score, classes: int) -> tuple[float, int]:
    losses = [
        (before - after, label)
        for label in range(classes)
        if (before := theirs.recall(label)) is not None
        and (after := ours.recall(label)) is not None
    ]
    return max(losses, key=lambda item: item[0])


def _unmeasured(name: str, required: str, candidate: Candidate) -> Rule:
    return Rule(
        name, required, f"not measured: {candidate.name} has no score: {candidate.fault}", False
    )


def _difference(difference: float, interval: Interval) -> str:
    return (
        f"{signed(difference)} points, interval {signed(interval.low)} to {signed(interval.high)}"
    )
