"""Each rule of the gate fails once, with numbers that a real model could have."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from scipy import stats

from cnn_pipeline.champion.gate import GateResult, judge
from cnn_pipeline.champion.requirements import GateSettings, Rule
from cnn_pipeline.champion.scores import Candidate, Score
from cnn_pipeline.comparison.statistics import paired_interval

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
    return Candidate(name, made, "" if made else "it could not be read", metrics, "077e8edd")


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
    assert re.fullmatch(
        r"less accurate than the champion \(-5.00 points, interval -\S+ to -\S+; needed above 0\)",
        result.reason,
    )


def test_a_tie_keeps_the_champion_even_where_the_margin_is_generous() -> None:
    result = judge(candidate(score(90)), champion(90), CLASSES, GateSettings(margin=-0.1))
    assert refused(result) == ["more accurate than the champion"]
    assert result.reason == (
        "exactly as accurate as the champion (0.00 points, interval -0.46 to +0.46; "
        "needed above -10, and no tie)"
    )


def test_a_generous_margin_takes_no_model_that_got_worse() -> None:
    result = judge(candidate(score(95)), champion(90), CLASSES, GateSettings(margin=-0.1))
    assert refused(result) == ["more accurate than the champion"]
    assert result.reason.startswith("not significantly more accurate than the champion (-0.83")
    assert result.reason.endswith("needed above -10, and a difference above 0)")


def test_a_difference_within_its_uncertainty_keeps_the_champion() -> None:
    """Five images more of 600: the interval reaches below zero."""
    result = judge(candidate(score(85)), champion(90), CLASSES, GateSettings())
    assert refused(result) == ["more accurate than the champion"]
    assert rule(result, "more accurate than the champion").measured.startswith("+0.83 points")
    assert re.fullmatch(
        r"not significantly more accurate than the champion "
        r"\(\+0.83 points, interval -\S+ to \+\S+; needed above 0\)",
        result.reason,
    )


def test_a_margin_asks_for_more_than_any_difference() -> None:
    better = candidate(score(60)), champion(90), CLASSES
    assert refused(judge(*better, GateSettings())) == []
    result = judge(*better, GateSettings(margin=0.04))
    assert refused(result) == ["more accurate than the champion"]
    assert result.reason.startswith("not significantly better than the champion by 4 points (+5.00")
    assert result.reason.endswith("; needed above 4)")


def test_a_lost_class_is_refused_however_good_the_rest() -> None:
    """45 images better in all, but 35 of 200 shirts worse than the champion."""
    losing = candidate(score(75, of_class=2))
    result = judge(losing, champion(120), CLASSES, GateSettings())
    assert refused(result) == ["no class loses recall"]
    measured = rule(result, "no class loses recall").measured
    assert re.fullmatch(r"shirt -17.50 points, interval -2\d.\d\d to -[6-9].\d\d", measured)
    assert re.fullmatch(
        r"significantly lower recall than the champion's \(shirt -17.50 points, interval -\S+ to "
        r"-\S+; allowed -5.00\)\. "
        r"Over all test images it is more accurate \(\+7.50 points, interval \+\S+ to \+\S+\)\. "
        r"To promote it anyway: `cnn-pipeline promote 077e8edd --why TEXT`",
        result.reason,
    )


def test_a_loss_of_recall_within_its_uncertainty_is_no_lost_class() -> None:
    """The same with 60 wrong shirts: 10 points lost of 200 images may be less than 5 of others."""
    result = judge(candidate(score(60, of_class=2)), champion(120), CLASSES, GateSettings())
    assert refused(result) == []
    assert re.fullmatch(
        r"none; nearest is shirt -10.00 points, interval -\S+ to \+\S+",
        rule(result, "no class loses recall").measured,
    )


@pytest.mark.parametrize("size", [10, 30, 100, 300])
@pytest.mark.parametrize("undecided", [0.0, 0.02, 0.1, 0.2])
def test_a_loss_of_five_points_is_called_a_lost_class_in_few_samples(
    size: int, undecided: float
) -> None:
    """The exact chance, over all that `size` images of one of ten classes can show.

    Each network alone gets a share `undecided` of the images right, and the champion five points
    more, which is no lost class yet. Ten classes may fail together in 5 % of the weeks, each on its
    upper side in 0.25 %; at most 0.4 % are accepted, as the interval is an approximation.
    """
    gains, losses = np.meshgrid(np.arange(size + 1), np.arange(size + 1))
    possible = gains + losses <= size
    chance = stats.multinomial(size, [undecided, undecided + 0.05, 0.95 - 2 * undecided]).pmf(
        np.stack([gains, losses, np.where(possible, size - gains - losses, 0)], axis=-1)[possible]
    )
    wrong = 0.0
    for gained, lost, one in zip(gains[possible], losses[possible], chance, strict=True):
        if one < 1e-8 or lost <= gained:
            continue
        sample = np.repeat([1.0, -1.0, 0.0], [gained, lost, size - gained - lost])
        wrong += one * (paired_interval(sample, 1 - 0.05 / 10).high < -0.05)
    assert wrong <= 0.004


def test_every_lost_class_is_named() -> None:
    result = judge(candidate(score(300)), champion(60), CLASSES, GateSettings())
    assert [name in result.reason for name in CLASSES] == [True, True, True]


def test_a_class_without_test_images_is_no_loss() -> None:
    ours, theirs = score(30), score(90)
    result = judge(candidate(ours), candidate(theirs), (*CLASSES, "sandal"), GateSettings())
    assert refused(result) == []


def test_a_slow_model_is_refused() -> None:
    result = judge(candidate(score(latency_ms=50.1)), None, CLASSES, GateSettings())
    assert refused(result) == ["latency"]
    assert rule(result, "latency").measured == "50.10 ms"


@pytest.mark.parametrize(
    ("now", "slowdown", "logged", "passed", "measured"),
    [
        (40.0, 20.0, 2.0, True, "40.00 ms, 20.00 times the champion's"),
        (75.0, 1.5, 2.0, True, "3.00 ms: 1.50 times the champion's, which logged 2.00 ms; 75.00 ms "
         "on the host now"),
        (75.0, 30.0, 2.0, False, "60.00 ms: 30.00 times the champion's, which logged 2.00 ms; "
         "75.00 ms on the host now"),
        (75.0, 1.5, 90.0, False, "75.00 ms, 1.50 times the champion's"),
        (75.0, 1.5, None, False, "75.00 ms, 1.50 times the champion's"),
    ],
)  # fmt: skip
def test_a_busy_host_refuses_nobody(
    now: float, slowdown: float, logged: float | None, passed: bool, measured: str
) -> None:
    """What the champion logged when the host was quiet, times what the challenger is slower."""
    theirs = champion(90)
    if logged is not None:
        theirs = dataclasses.replace(theirs, metrics={**theirs.metrics, "latency_ms": logged})
    ours = candidate(score(30, latency_ms=now, slowdown=slowdown))
    result = judge(ours, theirs, CLASSES, GateSettings())
    assert refused(result) == ([] if passed else ["latency"])
    assert rule(result, "latency").measured == measured
    if not passed:
        assert result.reason == f"too slow ({measured} per image; allowed 50)"


def seeds(*wrong: int) -> tuple[np.ndarray, ...]:
    return tuple(score(number).correct for number in wrong)


def test_seeds_that_are_better_on_average_are_promoted() -> None:
    ours = dataclasses.replace(candidate(score(30)), siblings=seeds(32, 31))
    theirs = dataclasses.replace(champion(90), siblings=seeds(88, 91))
    result = judge(ours, theirs, CLASSES, GateSettings())
    assert refused(result) == []
    assert re.fullmatch(
        r"\+9.78 points, at least \+[78].\d\d, 3 seeds against 3 of the champion's",
        rule(result, "more accurate with other seeds").measured,
    )


def test_the_best_of_seeds_that_are_not_better_is_refused() -> None:
    """Ten points better than the champion, whose recipe has other networks as good."""
    ours = dataclasses.replace(candidate(score(30)), siblings=seeds(85, 90))
    theirs = dataclasses.replace(champion(90), siblings=seeds(35, 80))
    result = judge(ours, theirs, CLASSES, GateSettings())
    assert refused(result) == ["more accurate with other seeds"]
    assert re.fullmatch(
        r"not significantly more accurate with other seeds \(0.00 points, at least -\S+, 3 seeds "
        r"against 3 of the champion's; needed above 0\)\. Over all test images it is more accurate "
        r"\(\+10.00 points, .*\)\. To promote it anyway: `cnn-pipeline promote .*`",
        result.reason,
    )


def test_one_seed_says_that_the_recipe_is_not_known() -> None:
    result = judge(candidate(score(30)), champion(90), CLASSES, GateSettings())
    made = rule(result, "more accurate with other seeds")
    assert made.passed and made.measured == (
        "not known: one seed. The networks alone decide, and an equal recipe's are promoted in "
        "up to 30 % of weeks"
    )


def test_a_large_model_is_refused() -> None:
    result = judge(candidate(score(model_bytes=50_000_001)), None, CLASSES, GateSettings())
    assert refused(result) == ["size"]
    assert result.reason == "too large (50,000,001 bytes; allowed 50,000,000)"


def test_every_failed_rule_is_named() -> None:
    made = score(380, latency_ms=50.1, png_class=1)
    result = judge(candidate(made), None, CLASSES, GateSettings())
    assert result.reason == (
        "an image as a PNG file gets another class than as an array (class 1, as an array 0); "
        "too slow (50.10 ms per image; allowed 50); "
        "not enough better than the majority class (36.67 %, 5.0 % of the way from 33.33 % to "
        "100 %; needed 10 % or more)"
    )
    assert [bool(rule.refusal) for rule in result.rules] == [not r.passed for r in result.rules]


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
        "36.67 %, 5.0 % of the way from 33.33 % to 100 %"
    )


@pytest.mark.parametrize(
    ("rare_right", "common_wrong", "way", "passed"),
    [
        (30, 0, "100.00 %, 100.0 % of the way from 95.00 % to 100 %", True),
        (3, 0, "95.50 %, 10.0 % of the way from 95.00 % to 100 %", True),
        (2, 0, "95.33 %, 6.7 % of the way from 95.00 % to 100 %", False),
        (0, 0, "95.00 %, 0.0 % of the way from 95.00 % to 100 %", False),
        (0, 6, "94.00 %, -20.0 % of the way from 95.00 % to 100 %", False),
    ],
)
def test_a_model_must_avoid_errors_of_the_majority_class_however_large_it_is(
    rare_right: int, common_wrong: int, way: str, passed: bool
) -> None:
    """95 : 5. Ten points above 95 % do not exist; a perfect model passes, 'always the same' not."""
    labels = np.repeat([0, 1], [570, 30])
    predictions = np.zeros(600, dtype=np.int64)
    predictions[570 : 570 + rare_right] = 1
    predictions[:common_wrong] = 1
    made = candidate(score(labels=labels, predictions=predictions))
    result = judge(made, None, ("common", "rare"), GateSettings())
    assert refused(result) == ([] if passed else ["better than the majority class"])
    assert rule(result, "better than the majority class").measured == way


def test_test_images_of_one_class_show_nothing() -> None:
    one = np.zeros(600, dtype=np.int64)
    result = judge(candidate(score(labels=one, predictions=one)), None, CLASSES, GateSettings())
    assert refused(result) == ["better than the majority class"]
    assert "all test images are of one class" in result.reason


UNEQUAL = np.repeat([0, 1], [950, 50])


def of_unequal(common_right: int, rare_right: int, name: str = "version 2") -> Candidate:
    """950 images of one class and 50 of another, so many of each right."""
    predictions = 1 - UNEQUAL
    predictions[:common_right] = 0
    predictions[950 : 950 + rare_right] = 1
    return candidate(score(labels=UNEQUAL, predictions=predictions), name)


def test_the_metric_of_the_sweep_decides_who_is_better() -> None:
    """94.9 % right against 95.0 %, but 97.4 % of the mean recall against 50 %."""
    classes = ("common", "rare")
    ours, theirs = of_unequal(901, 48), of_unequal(950, 0, "version 1")
    by_accuracy = judge(ours, theirs, classes, GateSettings())
    assert "more accurate than the champion" in refused(by_accuracy)
    result = judge(ours, theirs, classes, GateSettings(max_recall_loss=0.1), "balanced_accuracy")
    assert refused(result) == []
    assert result.reason == (
        "version 2 replaces version 1: test balanced accuracy 95.42 % against 50.00 %"
    )
    found = rule(result, "better in balanced accuracy than the champion").measured
    assert re.fullmatch(r"\+45.42 points, interval \+\S+ to \+\S+", found)
    assert rule(result, "better than the majority class").measured == (
        "95.42 %, 90.8 % of the way from 50.00 % to 100 %"
    )


def test_few_images_of_a_rare_class_show_little() -> None:
    """One rare image more of 50 is 1 point of balanced accuracy, and no evidence."""
    result = judge(
        of_unequal(900, 41), of_unequal(900, 40, "version 1"), ("common", "rare"), GateSettings(),
        "balanced_accuracy",
    )  # fmt: skip
    assert refused(result) == ["better in balanced accuracy than the champion"]
    assert result.reason.startswith(
        "not significantly better in balanced accuracy than the champion (+1.00 points, interval -"
    )


def test_seeds_are_compared_in_the_metric() -> None:
    ours = dataclasses.replace(
        of_unequal(900, 45),
        siblings=tuple(of_unequal(900, n).score.scores("balanced_accuracy") for n in (44, 46)),  # type: ignore[union-attr]
    )
    theirs = dataclasses.replace(
        of_unequal(900, 15, "version 1"),
        siblings=tuple(of_unequal(900, n).score.scores("balanced_accuracy") for n in (14, 16)),  # type: ignore[union-attr]
    )
    result = judge(ours, theirs, ("common", "rare"), GateSettings(), "balanced_accuracy")
    assert refused(result) == []
    found = rule(result, "better in balanced accuracy with other seeds").measured
    assert re.fullmatch(
        r"\+30.00 points, at least \+2\d.\d\d, 3 seeds against 3 of the champion's", found
    )


def test_answers_that_are_no_numbers_are_refused_in_every_metric() -> None:
    broken = score(finite=False, predictions=np.full(600, -1, dtype=np.int64))
    for metric in ("accuracy", "balanced_accuracy", "macro_f1"):
        result = judge(candidate(broken), champion(90), CLASSES, GateSettings(), metric)  # type: ignore[arg-type]
        assert "finite numbers" in refused(result)


def test_test_images_that_the_champion_no_longer_knows_are_refused() -> None:
    """Two classes swapped in all labels: a challenger learns that, the champion falls."""
    fallen = dataclasses.replace(champion(400), metrics={"test_accuracy": 0.85})
    result = judge(candidate(score(30)), fallen, CLASSES, GateSettings())
    assert refused(result) == ["the champion still knows the test images"]
    assert result.reason.startswith(
        "the champion no longer knows the test images (33.33 % now, 85.00 % logged; allowed "
        "-10.00 points), so the images or their labels have changed. Over all test images it is"
    )


def test_a_model_that_cannot_be_read_shows_every_rule() -> None:
    result = judge(candidate(None), champion(), CLASSES, GateSettings())
    good = judge(candidate(score()), champion(), CLASSES, GateSettings())
    assert [rule.name for rule in result.rules] == [rule.name for rule in good.rules]
    assert result.rules[0].measured == "it could not be read"
    assert all(rule.measured.startswith("not measured: ") for rule in result.rules[1:])
    assert [rule.required for rule in result.rules[3:]] == [r.required for r in good.rules[3:]]
    assert len(refused(result)) == len(result.rules)
    assert result.reason == (
        "f64-max-s0 (version 2) could not be loaded and scored: it could not be read"
    )


def test_a_champion_that_cannot_be_scored_is_not_replaced_unseen() -> None:
    result = judge(candidate(score()), candidate(None, "version 1"), CLASSES, GateSettings())
    assert refused(result) == [
        "more accurate than the champion",
        "more accurate with other seeds",
        "no class loses recall",
        "the champion still knows the test images",
    ]
    assert result.reason == "version 1 could not be loaded and scored: it could not be read"


def test_scores_of_different_images_are_never_compared() -> None:
    other = dataclasses.replace(score(), labels=LABELS[::-1].copy())
    with pytest.raises(ValueError, match="same test images"):
        judge(candidate(score()), candidate(other), CLASSES, GateSettings())
