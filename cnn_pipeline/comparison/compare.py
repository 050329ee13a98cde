"""Compare the results of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.comparison.effects import main_effects
from cnn_pipeline.comparison.expectations import check_expectations
from cnn_pipeline.comparison.leaderboard import leaderboard_rows
from cnn_pipeline.comparison.pairs import compare_pair, correct_for_number
from cnn_pipeline.comparison.types import Comparison, Difference, Expected, Row, SweepInfo
from cnn_pipeline.comparison.variants import VariantTrials, gather
from cnn_pipeline.comparison.verdict import write_verdict
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.sweep import Sweep


def describe_sweep(sweep: Sweep, *, sweep_id: str, dataset: str, num_test: int) -> SweepInfo:
    """What the comparison needs to know about a sweep."""
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
    )


def compare(
    results: Sequence[TrialResult],
    correct: Mapping[str, NDArray[np.bool_]],
    *,
    num_validation: int,
    sweep: SweepInfo,
) -> Comparison:
    """Rank the variants on validation, test them on the test images, and write the verdict.

    Args:
        results: one record per trial in any order, failed trials included.
        correct: by trial name, bool `[num_test]`: which test images the network gets right, with
            the same images in the same order for every trial. Missing or short arrays are noted
            in the result, also by each comparison that needs them.
        num_validation: number of validation images.
        sweep: the sweep that was run.

    Raises:
        ValueError: two results of one trial, an array that is not a vector of booleans, or a
            number of images below 1.
    """
    if num_validation < 1 or sweep.num_test < 1:
        raise ValueError(
            "compare needs at least one validation and one test image, "
            f"received num_validation={num_validation}, num_test={sweep.num_test}"
        )
    variants, notes = gather(results, correct, sweep.num_test)
    rows = leaderboard_rows(variants, sweep.num_test)
    pairwise = _against_the_choice(rows, variants)
    axes, exclusions = main_effects(variants, sweep.baseline)
    expectations = check_expectations(variants, sweep)
    return Comparison(
        sweep=sweep,
        num_validation=num_validation,
        rows=rows,
        pairwise=pairwise,
        axes=axes,
        expectations=expectations,
        verdict=write_verdict(sweep, num_validation, rows, pairwise, axes, expectations),
        faults=tuple(fault for variant in variants for fault in variant.faults),
        notes=(*notes, *exclusions),
    )


def _against_the_choice(
    rows: Sequence[Row], variants: Sequence[VariantTrials]
) -> tuple[Difference, ...]:
    by_label = {variant.label: variant for variant in variants}
    ranked = [by_label[row.label] for row in rows if row.rank is not None]
    return correct_for_number([compare_pair(ranked[0], other) for other in ranked[1:]])
