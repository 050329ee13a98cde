"""Each rule of the gate fails once, with numbers that a real model could have."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cnn_pipeline.champion.gate import Candidate, GateResult, GateSettings, Rule, Score, judge

CLASSES = ("boot", "bag", "shirt")
LABELS = np.repeat(np.arange(3), 200)


def score(wrong: int = 30, *, of_class: int | None = None, **changes: object) -> Score:
    """600 test images, `wrong` of them taken for another class, spread or all of one class."""
    predictions = LABELS.copy()
    if of_class is None:
        chosen = np.linspace(0, 599, wrong, dtype=int) if wrong else np.array([], dtype=int)
    else:
        chosen = np.flatnonzero(of_class == LABELS)[:wrong]
    predictions[chosen] = (predictions[chosen] + 1) % 3
    fields: dict[str, object] = {
        "labels": LABELS,
        "predictions": predictions,
        "latency_ms": 2.0,
        "model_bytes": 1_000_000,
        "finite": True,
        "png_class": 0,
        "array_class": 0,
    }
    return Score(**(fields | changes))  # type: ignore[arg-type]


def candidate(made: Score | None, name: str = "f64-max-s0 (version 2)") -> Candidate:
    metrics = {} if made is None else {"test_accuracy": made.accuracy, "test_loss": 0.4}
    return Candidate(name, made, "" if made else "it could not be read", metrics)


def champion(wrong: int = 90) -> Candidate:
    return candidate(score(wrong), "f32-max-s0 (version 1)")


def rule(result: GateResult, name: str) -> Rule:
    (found,) = [rule for rule in result.rules if rule.name == name]
    return found


def refused(result: GateResult) -> list[str]:
    """Names of the rules that failed; the decision agrees with them."""
    failed = [rule.name for rule in result.rules if not rule.passed]
    assert (result.passed, result.decision) == (not failed, "keep" if failed else "promote")
    return failed


def test_a_clearly_better_challenger_is_promoted() -> None:
    result = judge(candidate(score(30)), champion(90), CLASSES, GateSettings())
    assert refused(result) == []
    assert result.reason == (
        "f64-max-s0 (version 2) replaces f32-max-s0 (version 1): "
        "test accuracy 95.00 % against 85.00 %"
    )
    assert rule(result, "more accurate than the champion").measured.startswith("+10.00 points")


def test_a_first_model_needs_to_beat_the_majority_class_only() -> None:
    result = judge(candidate(score(300)), None, CLASSES, GateSettings())
    assert refused(result) == []
    assert "is the first champion" in result.reason
    assert all("champion" not in rule.name for rule in result.rules)


def test_a_worse_challenger_is_refused() -> None:
    result = judge(candidate(score(120)), champion(90), CLASSES, GateSettings())
    assert "more accurate than the champion" in refused(result)
    assert "measured -5.00 points" in result.reason


def test_a_tie_keeps_the_champion_even_where_the_margin_is_generous() -> None:
    result = judge(candidate(score(90)), champion(90), CLASSES, GateSettings(margin=-0.1))
    assert refused(result) == ["more accurate than the champion"]


def test_a_difference_within_its_uncertainty_keeps_the_champion() -> None:
    """Five images more of 600: the interval reaches below zero."""
    result = judge(candidate(score(85)), champion(90), CLASSES, GateSettings())
    assert refused(result) == ["more accurate than the champion"]
    assert rule(result, "more accurate than the champion").measured.startswith("+0.83 points")


def test_a_margin_asks_for_more_than_any_difference() -> None:
    better = candidate(score(60)), champion(90), CLASSES
    assert refused(judge(*better, GateSettings())) == []
    assert refused(judge(*better, GateSettings(margin=0.04))) == ["more accurate than the champion"]


def test_a_lost_class_is_refused_however_good_the_rest() -> None:
    """60 images better in all, but 30 of 200 shirts worse than the champion."""
    losing = candidate(score(60, of_class=2))
    result = judge(losing, champion(120), CLASSES, GateSettings())
    assert refused(result) == ["no class loses recall"]
    assert rule(result, "no class loses recall").measured == "shirt loses 10.00 points"


def test_a_class_without_test_images_is_no_loss() -> None:
    ours, theirs = score(30), score(90)
    result = judge(candidate(ours), candidate(theirs), (*CLASSES, "sandal"), GateSettings())
    assert refused(result) == []


def test_a_slow_model_is_refused() -> None:
    result = judge(candidate(score(latency_ms=50.1)), None, CLASSES, GateSettings())
    assert refused(result) == ["latency"]
    assert rule(result, "latency").measured == "50.10 ms"


def test_a_large_model_is_refused() -> None:
    result = judge(candidate(score(model_bytes=50_000_001)), None, CLASSES, GateSettings())
    assert refused(result) == ["size"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.797e308])
def test_a_metric_that_is_no_finite_number_is_refused(value: float) -> None:
    made = candidate(score())
    made = dataclasses.replace(made, metrics={**made.metrics, "val_loss": value})
    result = judge(made, None, CLASSES, GateSettings())
    assert refused(result) == ["finite numbers"]
    assert rule(result, "finite numbers").measured == "metric val_loss is not"


def test_probabilities_that_are_not_finite_are_refused() -> None:
    result = judge(candidate(score(finite=False)), None, CLASSES, GateSettings())
    assert refused(result) == ["finite numbers"]


@pytest.mark.parametrize("logged", [0.9, None])
def test_another_accuracy_than_the_logged_one_is_refused(logged: float | None) -> None:
    metrics = {} if logged is None else {"test_accuracy": logged}
    made = dataclasses.replace(candidate(score(30)), metrics=metrics)
    result = judge(made, None, CLASSES, GateSettings())
    assert refused(result) == ["same test accuracy"]


def test_another_answer_to_the_image_file_is_refused() -> None:
    result = judge(candidate(score(png_class=1)), None, CLASSES, GateSettings())
    assert refused(result) == ["classifies a PNG file"]


def test_a_first_model_no_better_than_the_majority_class_is_refused() -> None:
    result = judge(candidate(score(380)), None, CLASSES, GateSettings())
    assert refused(result) == ["better than the majority class"]
    assert rule(result, "better than the majority class").measured == (
        "36.67 %, +3.33 points from 33.33 %"
    )


def test_test_images_that_the_champion_no_longer_knows_are_refused() -> None:
    """Two classes swapped in all labels: a challenger learns that, the champion falls."""
    fallen = dataclasses.replace(champion(400), metrics={"test_accuracy": 0.85})
    result = judge(candidate(score(30)), fallen, CLASSES, GateSettings())
    assert refused(result) == ["the champion still knows the test images"]


def test_a_model_that_cannot_be_read_shows_every_rule() -> None:
    result = judge(candidate(None), champion(), CLASSES, GateSettings())
    good = judge(candidate(score()), champion(), CLASSES, GateSettings())
    assert [rule.name for rule in result.rules] == [rule.name for rule in good.rules]
    assert result.rules[0].measured == "it could not be read"
    assert all(rule.measured.startswith("not measured: ") for rule in result.rules[1:])
    assert [rule.required for rule in result.rules[3:]] == [r.required for r in good.rules[3:]]
    assert len(refused(result)) == len(result.rules)


def test_a_champion_that_cannot_be_scored_is_not_replaced_unseen() -> None:
    result = judge(candidate(score()), candidate(None, "version 1"), CLASSES, GateSettings())
    assert refused(result) == [
        "more accurate than the champion",
        "no class loses recall",
        "the champion still knows the test images",
    ]
    assert "version 1 has no score: it could not be read" in result.reason


def test_scores_of_different_images_are_never_compared() -> None:
    other = dataclasses.replace(score(), labels=LABELS[::-1].copy())
    with pytest.raises(ValueError, match="same test images"):
        judge(candidate(score()), candidate(other), CLASSES, GateSettings())
