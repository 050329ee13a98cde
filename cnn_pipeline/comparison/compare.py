"""Compare the results of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.base.quantities import first_names, percent
from cnn_pipeline.comparison import numbers, scope
from cnn_pipeline.comparison.effects import setting_effects
from cnn_pipeline.comparison.evidence import Evidence
from cnn_pipeline.comparison.expectations import check_expectations
from cnn_pipeline.comparison.image_weights import image_weights
from cnn_pipeline.comparison.leaderboard import leaderboard_rows
from cnn_pipeline.comparison.pairs import compare_pair
from cnn_pipeline.comparison.partial import partial_verdict, remaining_note
from cnn_pipeline.comparison.types import (
    Comparison,
    Expected,
    Progress,
    Row,
    SweepInfo,
)
from cnn_pipeline.comparison.variants import DESIGN_FIELDS, gather
from cnn_pipeline.comparison.verdict import Precision, write_verdict
from cnn_pipeline.data.class_warnings import no_better_than_largest
from cnn_pipeline.network.image_scores import Scores, of_one_answer
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.sweep import Sweep


def describe_sweep(
    sweep: Sweep,
    *,
    sweep_id: str,
    dataset: str,
    num_test: int,
    test_counts: tuple[int, ...] = (),
    warnings: tuple[str, ...] = (),
    test_drawn: str = "",
) -> SweepInfo:
    """What the comparison needs to know about a sweep and its data."""
    expectations = {
        trial.label: tuple(
            Expected(item.metric, item.direction, item.against) for item in trial.expect
        )
        for trial in sweep.trials()
        if trial.expect
    }
    return SweepInfo(
        sweep_id=sweep_id,
        name=sweep.name,
        dataset=dataset,
        num_test=num_test,
        description=sweep.description,
        baseline=sweep.baseline_label,
        expectations=expectations,
        margin=sweep.decide,
        metric=sweep.measure,
        test_counts=test_counts,
        warnings=warnings,
        test_drawn=test_drawn,
    )


def compare(
    results: Sequence[TrialResult],
    correct: Mapping[str, Scores],
    *,
    num_validation: int,
    sweep: SweepInfo,
    classes: NDArray[np.integer[Any]] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Rank the variants on validation, test them on the test images, and write the verdict.

    Args:
        results: one record per trial in any order, failed trials included.
        correct: by trial name, bool `[num_test]`: which test images the network gets right, with
            the same images in the same order for every trial. Missing or short arrays are noted
            in the result. Of another metric than accuracy, its scores (see `image_scores`).
        num_validation: number of validation images; 0 if it is unknown.
        sweep: the sweep that was run.
        classes: true class of each test image, integers `[num_test]`; needed for other metrics
            than accuracy.
        progress: how far a running sweep is. The variants are ranked as far as they are known;
            nothing is tested, because a test that is repeated after each trial finds too much.

    Raises:
        ValueError: two results of one trial, an array that is not a vector of booleans, or a
            number of images of a sweep below 1.
    """
    if sweep.runs is None and (num_validation < 1 or sweep.num_test < 1):
        raise ValueError(
            "compare needs at least one validation and one test image, "
            f"received num_validation={num_validation}, num_test={sweep.num_test}"
        )
    settings = DESIGN_FIELDS if sweep.runs is None else sweep.runs.settings
    variants, notes = gather(results, correct, sweep.num_test, settings, sweep.metric)
    faults = tuple(fault for variant in variants for fault in variant.faults)
    evidence = Evidence(
        {variant.label: variant for variant in variants},
        same_seeds=sweep.runs is None or sweep.runs.same_seeds,
        weights=image_weights(sweep.metric, classes, sweep.num_test),
    )
    if progress is not None:
        return Comparison(
            sweep=sweep,
            num_validation=num_validation,
            rows=leaderboard_rows(evidence, sweep.num_test),
            pairwise=(),
            axes=(),
            expectations=(),
            verdict=partial_verdict(progress),
            faults=faults,
            notes=(*notes, *remaining_note(progress)),
            warnings=sweep.warnings,
            progress=progress,
        )
    rows = leaderboard_rows(evidence, sweep.num_test, sweep.margin)
    ranked = [row.label for row in rows if row.rank is not None]
    pairwise = tuple(compare_pair(evidence, ranked[0], other) for other in ranked[1:])
    effects = setting_effects(evidence, sweep.baseline)
    expectations = check_expectations(evidence, sweep)
    smallest = evidence.answers.smallest_difference()
    precision = Precision(
        smallest_difference=None if smallest is None else 100 * smallest,
        seeds_needed=evidence.answers.seeds_needed(sweep.margin / 100),
        unequal_spread=_unequal_spread(sweep, evidence) if evidence.about_recipes else None,
    )
    return Comparison(
        sweep=sweep,
        num_validation=num_validation,
        rows=rows,
        pairwise=pairwise,
        axes=effects.axes,
        expectations=expectations,
        verdict=write_verdict(
            sweep, num_validation, rows, pairwise, effects.axes, expectations, precision
        ),
        faults=faults,
        notes=(*notes, *_device_note(results), *_order_note(sweep, rows), *effects.notes),
        warnings=(*sweep.warnings, *_nothing_learned(sweep, rows)),
        interactions=effects.interactions,
        smallest_difference=precision.smallest_difference,
        seeds_needed=precision.seeds_needed,
        unequal_spread=precision.unequal_spread,
    )


def _nothing_learned(sweep: SweepInfo, rows: Sequence[Row]) -> tuple[str, ...]:
    """A warning if the choice is no better than always saying the largest class."""
    choice = next((row for row in rows if row.rank == 1), None)
    if choice is None or choice.test_accuracy is None or not sweep.test_counts:
        return ()
    if sweep.metric == "accuracy":
        warning = no_better_than_largest(choice.label, choice.test_accuracy, sweep.test_counts)
        return (warning,) if warning else ()
    classes = np.repeat(np.arange(len(sweep.test_counts)), sweep.test_counts)
    reached, least = choice.test_accuracy, of_one_answer(sweep.metric, classes)
    if reached > least:
        return ()
    return (
        f"{choice.label} has a test {scope.measure(sweep)} of {percent(reached)}, where always "
        f"saying the largest class gives {percent(least)}",
    )


def _device_note(results: Sequence[TrialResult]) -> tuple[str, ...]:
    """A note if trials of one seed were trained on different processors or GPUs."""
    used: dict[int, set[str]] = {}
    for result in results:
        if result.finished and result.device:
            used.setdefault(result.seed, set()).add(result.device)
    mixed = {seed: devices for seed, devices in used.items() if len(devices) > 1}
    if not mixed:
        return ()
    devices = first_names(sorted(set().union(*mixed.values())))
    return (
        f"Variants were trained on different processors with the same seed ({devices}): "
        "processors round differently, so it is not their settings alone that differ.",
    )


def _order_note(sweep: SweepInfo, rows: Sequence[Row]) -> tuple[str, ...]:
    """A note if the ranks are not in the order of the numbers beside them."""
    what = "validation accuracies" if sweep.metric == "accuracy" else scope.ranked_by(sweep)
    means = [row.validation_accuracy for row in rows if row.validation_accuracy is not None]
    if means == sorted(means, reverse=True):
        return ()
    return (
        "The variants have different seeds. Ranks take off what each seed does to all variants, so "
        f"they are not in the order of the mean {what}.",
    )


def _unequal_spread(sweep: SweepInfo, evidence: Evidence) -> str | None:
    answers = evidence.answers
    wide = [label for label, out in zip(answers.labels, answers.stands_out, strict=True) if out]
    if not wide:
        return None
    return (
        f"apart from what a seed does to all variants alike, the test {scope.measure(sweep)} of "
        f"{numbers.in_words(wide)} varies more over the seeds than that of the others, so "
        f"differences from {'it' if len(wide) == 1 else 'them'} rest on their own spread"
    )
