"""Compare two variants on the test images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.comparison.statistics import holm, mcnemar_mid_p, paired_interval, welch
from cnn_pipeline.comparison.types import Difference
from cnn_pipeline.comparison.variants import VariantTrials


def compare_pair(variant: VariantTrials, against: VariantTrials) -> Difference:
    """Test accuracy of `variant` minus that of `against`, with the best test that is possible.

    With two or more seeds on both sides: Welch's t test on the accuracies, which compares the
    recipes. Else McNemar's test on one network of each, if possible of the same seed.
    """
    ours, theirs = _accuracies(variant), _accuracies(against)
    if len(ours) > 1 and len(theirs) > 1:
        outcome = welch(ours, theirs)
        return Difference(
            variant.label,
            against.label,
            basis="recipes",
            estimate=outcome.difference,
            interval=outcome.interval,
            p_value=outcome.p_value,
            seeds=tuple(trial.seed for trial in variant.trials if trial.test is not None),
            reason=""
            if outcome.p_value is not None
            else "the accuracy does not vary over the seeds, so its spread is unknown",
        )
    return _compare_networks(variant, against)


def correct_for_number(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """Add p-values with Holm's correction over the differences that have a test."""
    corrected = holm([difference.p_value for difference in differences])
    return tuple(
        dataclasses.replace(difference, p_corrected=p)
        for difference, p in zip(differences, corrected, strict=True)
    )


def _accuracies(variant: VariantTrials) -> list[float]:
    return [trial.test for trial in variant.trials if trial.test is not None]


def _compare_networks(variant: VariantTrials, against: VariantTrials) -> Difference:
    ours, theirs = _answers_by_seed(variant), _answers_by_seed(against)
    if not ours or not theirs:
        missing = [
            side.label for side, answers in ((variant, ours), (against, theirs)) if not answers
        ]
        return Difference(
            variant.label,
            against.label,
            basis="none",
            estimate=_plain_difference(variant, against),
            reason=f"no paired test is possible: no predictions of {' and '.join(missing)}",
        )
    common = ours.keys() & theirs.keys()
    seed = min(common or ours)
    difference = ours[seed].astype(np.float64) - theirs[min(common or theirs)]
    wins, losses = int((difference > 0).sum()), int((difference < 0).sum())
    return Difference(
        variant.label,
        against.label,
        basis="models",
        estimate=float(difference.mean()),
        interval=paired_interval(difference),
        p_value=mcnemar_mid_p(wins, losses),
        wins=wins,
        losses=losses,
        seeds=(seed,),
    )


def _answers_by_seed(variant: VariantTrials) -> dict[int, NDArray[np.bool_]]:
    return {trial.seed: trial.correct for trial in variant.trials if trial.correct is not None}


def _plain_difference(variant: VariantTrials, against: VariantTrials) -> float | None:
    ours, theirs = _accuracies(variant), _accuracies(against)
    return float(np.mean(ours) - np.mean(theirs)) if ours and theirs else None
