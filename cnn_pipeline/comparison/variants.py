"""Group results into variants that can be compared, with notes on what is missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.base import metric_names
from cnn_pipeline.comparison.types import TrialFault
from cnn_pipeline.network.results import Scalar, TrialResult
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.trial import Training, Variant

# Threads change the last bits of the weights, not the recipe.
DESIGN_FIELDS = (
    *Variant.model_fields,
    *(name for name in Training.model_fields if name != "threads"),
)


@dataclass(frozen=True, eq=False)
class ScoredTrial:
    """A finished trial with its accuracies; `test` and `correct` are None if unknown."""

    result: TrialResult
    validation: float
    test: float | None
    correct: NDArray[np.bool_] | None
    """bool [num_test]: which test images it gets right."""

    @property
    def seed(self) -> int:
        """The trial's seed."""
        return self.result.seed


@dataclass(frozen=True, eq=False)
class VariantTrials:
    """A variant: its settings, its scored trials by seed, and its faults."""

    label: str
    fields: dict[str, str]
    """The recorded settings of the recipe, as text."""
    trials: tuple[ScoredTrial, ...]
    faults: tuple[TrialFault, ...]
    run_ids: tuple[str, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds with a scored trial."""
        return tuple(trial.seed for trial in self.trials)

    def at(self, seed: int) -> ScoredTrial:
        """The scored trial of one seed. Raises KeyError if there is none."""
        for trial in self.trials:
            if trial.seed == seed:
                return trial
        raise KeyError(seed)

    def mean(self, metric: str) -> float | None:
        """Mean of a metric over the scored seeds that logged it."""
        return mean_of(trial.result.metric(metric) for trial in self.trials)

    @property
    def validation(self) -> float | None:
        """Mean validation accuracy over the scored seeds."""
        return mean_of(trial.validation for trial in self.trials)


def mean_of(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are not None; None if there are none."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def gather(
    results: Sequence[TrialResult], correct: Mapping[str, NDArray[np.bool_]], num_test: int
) -> tuple[tuple[VariantTrials, ...], tuple[str, ...]]:
    """Variants in natural order of their labels, and notes on what is missing or inconsistent.

    The order of `results` does not matter. Raises ValueError if two results are of the same
    trial, or if `correct` has an array that is not a vector of booleans.
    """
    _refuse_repeated(results)
    notes: list[str] = []
    by_label: dict[str, list[TrialResult]] = {}
    for result in sorted(results, key=lambda r: (natural_key(r.label), r.seed)):
        by_label.setdefault(result.label, []).append(result)
    variants = []
    for label, members in by_label.items():
        trials, faults = [], []
        for result in members:
            scored = _score(result, correct.get(result.name), num_test, notes)
            if isinstance(scored, ScoredTrial):
                trials.append(scored)
            else:
                faults.append(scored)
        variants.append(
            VariantTrials(
                label=label,
                fields=_fields(members[0].params),
                trials=tuple(trials),
                faults=tuple(faults),
                run_ids=tuple(result.run_id for result in members),
            )
        )
    return tuple(variants), tuple(notes)


def ranked(variants: Iterable[VariantTrials]) -> list[VariantTrials]:
    """The variants with a validation accuracy, the best first.

    Equal accuracies are ordered by MACs, then parameters, then label: the cheaper variant is the
    better choice.
    """
    return sorted((one for one in variants if one.validation is not None), key=_rank)


def best_trial(results: Sequence[TrialResult], label: str | None = None) -> TrialResult | None:
    """The best seed of the best variant, or of the variant `label`, by validation accuracy.

    Variants rank as on the leaderboard. Of equal seeds the first in `results` is taken. None where
    no trial has finished with a validation accuracy.
    """
    variants, _ = gather(results, {}, num_test=0)
    best = next((one for one in ranked(variants) if label in (None, one.label)), None)
    if best is None:
        return None
    accuracies = {trial.result.name: trial.validation for trial in best.trials}
    candidates = [result for result in results if result.name in accuracies]
    return max(candidates, key=lambda result: accuracies[result.name])


def _rank(variant: VariantTrials) -> tuple[object, ...]:
    unknown = float("inf")
    macs, params = variant.mean(metric_names.MACS), variant.mean(metric_names.NUM_PARAMS)
    return (
        -(variant.validation or 0.0),
        unknown if macs is None else macs,
        unknown if params is None else params,
        natural_key(variant.label),
    )


def natural_key(text: str) -> tuple[Any, ...]:
    """Sort key that puts 'f8' before 'f16', and 0.25 before 0.5."""
    try:
        return (0, float(text), ())
    except ValueError:
        parts = re.split(r"(\d+)", text)
        return (1, 0.0, tuple((p.isdigit(), int(p) if p.isdigit() else 0, p) for p in parts))


def _refuse_repeated(results: Sequence[TrialResult]) -> None:
    names = Counter((result.label, result.seed) for result in results)
    repeated = [f"{label} seed {seed}" for (label, seed), n in names.items() if n > 1]
    if repeated:
        raise ValueError(
            f"each trial must have one result, received several of {repeated}. "
            "Pass the newest run of each trial."
        )


def _fields(params: Mapping[str, Scalar]) -> dict[str, str]:
    return {name: _level(params[name]) for name in DESIGN_FIELDS if name in params}


def _level(value: Scalar) -> str:
    """A level; equal numbers are one level, also if one is text from MLflow."""
    text = spell(value)
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text


def _score(
    result: TrialResult, answers: NDArray[np.bool_] | None, num_test: int, notes: list[str]
) -> ScoredTrial | TrialFault:
    if not result.finished:
        return _fault(result, result.reason or "no reason was recorded")
    validation = result.metric(metric_names.VAL_ACCURACY_FINAL)
    if validation is None or not 0 <= validation <= 1:
        return _fault(
            result,
            f"its metric {metric_names.VAL_ACCURACY_FINAL} is missing or no share from 0 to 1",
        )
    correct = _checked_answers(result.name, answers, num_test, notes)
    return ScoredTrial(result, validation, _test_accuracy(result, correct, notes), correct)


def _fault(result: TrialResult, reason: str) -> TrialFault:
    status = "FAILED" if result.finished else result.status
    return TrialFault(result.name, result.label, result.seed, status, " ".join(reason.split()))


def _checked_answers(
    name: str, answers: NDArray[np.bool_] | None, num_test: int, notes: list[str]
) -> NDArray[np.bool_] | None:
    if answers is None:
        notes.append(
            f"{name}: no predictions on the test images were found, so no paired test with it "
            "is possible."
        )
        return None
    answers = np.asarray(answers)
    if answers.dtype != np.bool_ or answers.ndim != 1:
        raise ValueError(
            f"correct[{name!r}] must be a vector of booleans, "
            f"received {answers.dtype} of shape {answers.shape}"
        )
    if answers.size != num_test:
        notes.append(
            f"{name}: its predictions cover {answers.size} test images instead of {num_test}, so "
            "no paired test with it is possible."
        )
        return None
    return answers


def _test_accuracy(
    result: TrialResult, correct: NDArray[np.bool_] | None, notes: list[str]
) -> float | None:
    logged = result.metric(metric_names.TEST_ACCURACY)
    if logged is not None and not 0 <= logged <= 1:
        logged = None
    if correct is None:
        if logged is None:
            notes.append(f"{result.name}: its test accuracy is missing or no share from 0 to 1.")
        return logged
    counted = float(correct.mean())
    # A gap of more than half an image is not rounding: another model or other images.
    if logged is not None and abs(logged - counted) > 0.5 / correct.size:
        notes.append(
            f"{result.name}: its metric {metric_names.TEST_ACCURACY} says {logged:.4f}, its "
            f"predictions give {counted:.4f}; the predictions are used."
        )
    return counted
