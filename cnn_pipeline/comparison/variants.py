"""Group results into variants that can be compared, with notes on what is missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.metric_names import Metric
from cnn_pipeline.comparison.types import TrialFault
from cnn_pipeline.network.image_scores import Scores
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
    """A finished trial with its accuracies, or another metric of the sweep in their place.

    `test` and `correct` are None if unknown.
    """

    result: TrialResult
    validation: float
    test: float | None
    correct: Scores | None
    """bool `[num_test]`: which test images it gets right; or scores, see `image_scores`."""

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

    @property
    def test(self) -> float | None:
        """Mean test accuracy over the scored seeds where it is known."""
        return mean_of(trial.test for trial in self.trials)


def mean_of(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are not None; None if there are none."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def gather(
    results: Sequence[TrialResult],
    correct: Mapping[str, Scores],
    num_test: int,
    settings: Sequence[str] = DESIGN_FIELDS,
    metric: Metric = "accuracy",
) -> tuple[tuple[VariantTrials, ...], tuple[str, ...]]:
    """Variants in natural order of their labels, and notes on what is missing or inconsistent.

    The order of `results` does not matter. `settings` are the params that make a variant, and
    `metric` is what they are ranked and compared by. If `num_test` is 0, no answers are expected.
    Raises ValueError if two results are of the same
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
            scored = _score(result, correct.get(result.name), num_test, notes, metric)
            if isinstance(scored, ScoredTrial):
                trials.append(scored)
            else:
                faults.append(scored)
        variants.append(
            VariantTrials(
                label=label,
                fields=_fields(members[0].params, settings),
                trials=tuple(trials),
                faults=tuple(faults),
                run_ids=tuple(result.run_id for result in members),
            )
        )
    return tuple(variants), tuple(notes)


def ranked(variants: Iterable[VariantTrials], *, same_seeds: bool = True) -> list[VariantTrials]:
    """The variants with a validation accuracy, the best first.

    Equal accuracies are ordered by MACs, then parameters, then label: the cheaper variant is the
    better choice. Without `same_seeds`, seeds only number the runs of a variant.
    """
    scored = [one for one in variants if one.validation is not None]
    plain = {one.label: one.validation or 0.0 for one in scored}
    accuracies = (_adjusted(scored) if same_seeds else None) or plain
    return sorted(scored, key=lambda one: _rank(one, accuracies[one.label]))


def _adjusted(variants: Sequence[VariantTrials]) -> dict[str, float] | None:
    """Validation accuracies as if every variant had every seed; None if all have the same ones.

    Rounds give more seeds to good variants, and trials fail. An easy seed must not help the one
    that has it. accuracy ~ variant + seed is fitted by least squares. None also where variants are
    not connected by common seeds.
    """
    if len({one.seeds for one in variants}) < 2:
        return None
    seeds = sorted({seed for one in variants for seed in one.seeds})
    cells = [
        (row, len(variants) + seeds.index(trial.seed), trial.validation)
        for row, one in enumerate(variants)
        for trial in one.trials
    ]
    design = np.zeros((len(cells), len(variants) + len(seeds)))
    for line, (row, column, _) in enumerate(cells):
        design[line, [row, column]] = 1
    fit, _, rank, _ = np.linalg.lstsq(design, np.array([value for *_, value in cells]))
    if rank < len(variants) + len(seeds) - 1:
        return None
    # Rounded, so that equal accuracies are equal.
    means = np.round(fit[: len(variants)] + fit[len(variants) :].mean(), 12)
    return {one.label: float(mean) for one, mean in zip(variants, means, strict=True)}


def best_trial(
    results: Sequence[TrialResult], label: str | None = None, metric: Metric = "accuracy"
) -> TrialResult | None:
    """The best seed of the best variant, or of the variant `label`, by the metric on validation.

    Variants rank as on the leaderboard. Of equal seeds the first in `results` is taken. None where
    no trial has finished with a validation accuracy.
    """
    variants, _ = gather(results, {}, num_test=0, metric=metric)
    best = next((one for one in ranked(variants) if label in (None, one.label)), None)
    if best is None:
        return None
    accuracies = {trial.result.name: trial.validation for trial in best.trials}
    candidates = [result for result in results if result.name in accuracies]
    return max(candidates, key=lambda result: accuracies[result.name])


def _rank(variant: VariantTrials, accuracy: float) -> tuple[object, ...]:
    unknown = float("inf")
    macs, params = variant.mean(metric_names.MACS), variant.mean(metric_names.NUM_PARAMS)
    return (
        -accuracy,
        unknown if macs is None else macs,
        unknown if params is None else params,
        natural_key(variant.label),
    )


def natural_key(text: str) -> tuple[Any, ...]:
    """Sort key that puts 'f8' before 'f16', 0.25 before 0.5, and 'lr0.003' before 'lr0.01'."""
    try:
        return (0, float(text), ())
    except ValueError:
        parts = re.split(r"((?<=[a-z])0\.\d+(?![\d.])|\d+)", text)
        numbered = enumerate(parts)
        return (1, 0.0, tuple((n % 2, float(p) if n % 2 else 0.0, p) for n, p in numbered))


def _refuse_repeated(results: Sequence[TrialResult]) -> None:
    names = Counter((result.label, result.seed) for result in results)
    repeated = [f"{label} seed {seed}" for (label, seed), n in names.items() if n > 1]
    if repeated:
        raise ValueError(
            f"each trial must have one result, received several of {repeated}. "
            "Pass the newest run of each trial."
        )


def _fields(params: Mapping[str, Scalar], settings: Sequence[str]) -> dict[str, str]:
    return {name: level_of(params[name]) for name in settings if name in params}


def level_of(value: Scalar) -> str:
    """A setting's level as text; equal numbers are one level, also if one is text from MLflow."""
    text = spell(value)
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text


def _score(
    result: TrialResult,
    answers: Scores | None,
    num_test: int,
    notes: list[str],
    metric: Metric,
) -> ScoredTrial | TrialFault:
    if not result.finished:
        return _fault(result, result.reason or "no reason was recorded")
    ranking = metric_names.VALIDATION[metric]
    validation = result.metric(ranking)
    if validation is None or not 0 <= validation <= 1:
        return _fault(result, f"its metric {ranking} is missing or no share from 0 to 1")
    correct = _checked_answers(result.name, answers, num_test, notes)
    return ScoredTrial(result, validation, _test_metric(result, correct, notes, metric), correct)


def _fault(result: TrialResult, reason: str) -> TrialFault:
    status = "FAILED" if result.finished else result.status
    return TrialFault(result.name, result.label, result.seed, status, " ".join(reason.split()))


def _checked_answers(
    name: str, answers: Scores | None, num_test: int, notes: list[str]
) -> Scores | None:
    if answers is None:
        if not num_test:
            return None
        notes.append(
            f"{name}: no predictions on the test images were found, so its differences do not "
            "allow for new images."
        )
        return None
    answers = cast(Scores, np.asarray(answers))
    if answers.dtype not in (np.bool_, np.float64) or answers.ndim != 1:
        raise ValueError(
            f"correct[{name!r}] must be float64 scores or a vector of booleans, "
            f"received {answers.dtype} of shape {answers.shape}"
        )
    if answers.size != num_test:
        notes.append(
            f"{name}: its predictions cover {answers.size} test images instead of {num_test}, so "
            "they are not used, and its differences do not allow for new images."
        )
        return None
    return answers


def _test_metric(
    result: TrialResult, correct: Scores | None, notes: list[str], metric: Metric
) -> float | None:
    name = metric_names.TEST[metric]
    logged = result.metric(name)
    if logged is not None and not 0 <= logged <= 1:
        logged = None
    if correct is None:
        if logged is None:
            what = "test accuracy" if metric == "accuracy" else f"metric {name}"
            notes.append(f"{result.name}: its {what} is missing or no share from 0 to 1.")
        return logged
    counted = float(correct.mean())
    # A gap of more than half an image is not rounding: another model or other images.
    if logged is not None and abs(logged - counted) > 0.5 / correct.size:
        notes.append(
            f"{result.name}: its metric {name} says {logged:.4f}, its "
            f"predictions give {counted:.4f}; the predictions are used."
        )
    return counted
