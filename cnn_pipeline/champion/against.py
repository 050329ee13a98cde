"""The rules of the gate that compare a challenger with the champion."""

from __future__ import annotations

import math

import numpy as np

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.metric_names import MEASURES, Metric
from cnn_pipeline.base.quantities import percent, signed
from cnn_pipeline.champion.recipe import recipe_difference
from cnn_pipeline.champion.requirements import GateSettings, Rule, unmeasured
from cnn_pipeline.champion.scores import Candidate, Score
from cnn_pipeline.comparison.image_weights import image_weights
from cnn_pipeline.comparison.statistics import Interval, paired_interval

MORE_ACCURATE = "more accurate than the champion"
RECIPE = "more accurate with other seeds"
RECALL = "no class loses recall"
STILL_KNOWS = "the champion still knows the test images"
NETWORKS_ALONE = "up to 30 %"
"""How often the networks' interval alone promotes an equal recipe; see docs/explanation/gate.md."""


def rules_against(
    challenger: Candidate,
    champion: Candidate,
    class_names: tuple[str, ...],
    settings: GateSettings,
    metric: Metric = "accuracy",
) -> list[Rule]:
    """Requirements against the champion."""
    level, margin = f"{settings.confidence * 100:g} %", f"{settings.margin * 100:g} points"
    texts = {
        MORE_ACCURATE: f"{level} interval of the difference above {margin}, and no tie",
        RECIPE: f"the mean over the recipe's seeds above the champion's by {margin}, "
        f"with {level} confidence",
        RECALL: f"no class whose interval ({level} for all classes together) is below "
        f"{signed(-settings.max_recall_loss)} points",
        STILL_KNOWS: f"at most {settings.max_champion_loss * 100:g} points below its logged "
        "accuracy; more means that images or labels are no longer the same kind",
    }
    for candidate in (challenger, champion):
        if candidate.score is None:
            return [unmeasured(name, required, candidate) for name, required in texts.items()]
    ours, theirs = challenger.score, champion.score
    assert ours is not None and theirs is not None
    return [
        _more_accurate(texts[MORE_ACCURATE], ours, theirs, settings, metric),
        _better_recipe(texts[RECIPE], challenger, champion, settings, metric),
        _keeps_recall(texts[RECALL], ours, theirs, class_names, settings),
        _still_knows(
            texts[STILL_KNOWS],
            theirs,
            champion.metrics.get(metric_names.TEST_ACCURACY),
            settings.max_champion_loss,
        ),
    ]


def in_terms_of(metric: Metric, text: str) -> str:
    """What is said about accuracy, said about the metric."""
    if metric == "accuracy":
        return text
    measure = MEASURES[metric]
    for said, instead in (
        ("more accurate", f"better in {measure}"),
        ("less accurate", f"worse in {measure}"),
        ("as accurate as", f"as good in {measure} as"),
    ):
        text = text.replace(said, instead)
    return text


def _more_accurate(
    required: str, ours: Score, theirs: Score, settings: GateSettings, metric: Metric
) -> Rule:
    differences = ours.scores(metric).astype(np.float64) - theirs.scores(metric)
    weights = image_weights(metric, ours.labels, len(ours.labels))
    added = weights.added if weights else None
    interval = paired_interval(differences, settings.confidence, added)
    difference = ours.value(metric) - theirs.value(metric) if weights else float(differences.mean())
    measured = _measured(difference, interval)
    needed = f"above {settings.margin * 100:g}"
    if difference == 0:
        what = "exactly as accurate as the champion"
        needed += ", and no tie"
    elif interval.high < 0:
        what = "less accurate than the champion"
    elif settings.margin > 0:
        what = f"not significantly better than the champion by {settings.margin * 100:g} points"
    else:
        what = "not significantly more accurate than the champion"
    if difference < 0 and interval.low > settings.margin:
        needed += ", and a difference above 0"
    passed = interval.low > settings.margin and difference > 0
    return Rule(MORE_ACCURATE, required, measured, passed, f"{what} ({measured}; needed {needed})")


def _better_recipe(
    required: str,
    challenger: Candidate,
    champion: Candidate,
    settings: GateSettings,
    metric: Metric,
) -> Rule:
    """Of seeds of one recipe, the best differ from the champion too: their mean decides."""
    ours, theirs = challenger.networks(metric), champion.networks(metric)
    if len(ours) == 1:
        text = (
            "not known: one seed. The networks alone decide, and an equal recipe's are promoted in "
            f"{NETWORKS_ALONE} of weeks"
        )
        return Rule(RECIPE, required, text, True)
    assert challenger.score is not None
    labels = challenger.score.labels
    weights = image_weights(metric, labels, len(labels))
    freedom = weights.freedom if weights else math.inf
    found = recipe_difference(ours, theirs, settings.confidence, freedom)
    measured = (
        f"{signed(found.estimate)} points, at least {signed(found.low)}, {len(ours)} seeds "
        f"against {len(theirs)} of the champion's"
    )
    return Rule(
        RECIPE,
        required,
        measured,
        found.low > settings.margin,
        f"not significantly more accurate with other seeds ({measured}; needed above "
        f"{settings.margin * 100:g})",
    )


def _keeps_recall(
    required: str,
    ours: Score,
    theirs: Score,
    class_names: tuple[str, ...],
    settings: GateSettings,
) -> Rule:
    """A class is lost where its whole interval, Bonferroni over the classes, is below the limit."""
    differences = ours.correct.astype(np.float64) - theirs.correct
    known = [label for label in range(len(class_names)) if np.any(ours.labels == label)]
    level = 1 - (1 - settings.confidence) / len(known)
    found = []
    for label in known:
        sample = differences[ours.labels == label]
        found.append((paired_interval(sample, level), float(sample.mean()), class_names[label]))
    found.sort(key=lambda item: item[0].high)
    lost = [item for item in found if item[0].high < -settings.max_recall_loss]
    shown = "; ".join(
        f"{name} {_measured(difference, interval)}"
        for interval, difference, name in lost or found[:1]
    )
    return Rule(
        RECALL,
        required,
        shown if lost else f"none; nearest is {shown}",
        not lost,
        f"significantly lower recall than the champion's ({shown}; allowed "
        f"{signed(-settings.max_recall_loss)})",
    )


def _still_knows(required: str, score: Score, logged: float | None, most: float) -> Rule:
    if logged is None:
        text = "not measured: its run logged no test accuracy"
        return Rule(
            STILL_KNOWS, required, text, False, "the champion's run logged no test accuracy"
        )
    text = f"{percent(score.accuracy, 2)} now, {percent(logged, 2)} logged"
    return Rule(
        STILL_KNOWS,
        required,
        text,
        logged - score.accuracy <= most,
        f"the champion no longer knows the test images ({text}; allowed {signed(-most)} points), "
        "so the images or their labels have changed",
    )


def _measured(difference: float, interval: Interval) -> str:
    return (
        f"{signed(difference)} points, interval {signed(interval.low)} to {signed(interval.high)}"
    )
