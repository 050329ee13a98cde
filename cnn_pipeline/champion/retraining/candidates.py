"""Which networks are trained, and which of them becomes the challenger."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from cnn_pipeline.base import metric_names
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.sweep import Entry, Sweep
from cnn_pipeline.settings.trial import Training, Trial


def candidate_sweep(sweep: Sweep, champion: Trial | None) -> Sweep:
    """The configured sweep, and the champion's network and training beside it, with the same seeds.

    A champion that the sweep has already is not trained twice. Threads are no part of a recipe.
    """
    if champion is None:
        return sweep
    trials = [trial for trial in sweep.trials() if trial.seed == sweep.seeds[0]]
    recipe = (champion.variant, _without_threads(champion.training))
    if recipe in {(trial.variant, _without_threads(trial.training)) for trial in trials}:
        return sweep
    labels = {trial.label for trial in trials}
    name = champion.variant.name
    label = name if name not in labels else f"champion-{name}"[:48]
    entries = [
        Entry(
            variant=trial.variant,
            label=trial.label,
            training=_differences(trial.training, sweep.training),
            hypothesis=trial.hypothesis,
            expect=trial.expect,
        )
        for trial in trials
    ]
    entries.append(
        Entry(
            variant=champion.variant,
            label=label,
            training=_differences(
                champion.training.model_copy(update={"threads": sweep.training.threads}),
                sweep.training,
            ),
            hypothesis="The champion's own network and training, on the data of now.",
        )
    )
    fields = {name: getattr(sweep, name) for name in type(sweep).model_fields}
    return Sweep(**{**fields, "variant": type(champion.variant)(), "axes": type(sweep.axes)(),
                    "entries": tuple(entries)})  # fmt: skip


def choose(results: Sequence[TrialResult]) -> TrialResult | None:
    """The challenger: best variant by mean validation accuracy, of it the best seed.

    The test images have no say. The earlier of equals is taken. None where nothing finished.
    """
    scored = [
        (result, accuracy)
        for result in results
        if result.finished
        and (accuracy := result.metric(metric_names.VAL_ACCURACY_FINAL)) is not None
    ]
    by_label: dict[str, list[float]] = {}
    for result, accuracy in scored:
        by_label.setdefault(result.label, []).append(accuracy)
    if not by_label:
        return None
    label = max(by_label, key=lambda name: fmean(by_label[name]))
    return max((item for item in scored if item[0].label == label), key=lambda item: item[1])[0]


def _without_threads(training: Training) -> Training:
    return training.model_copy(update={"threads": 0})


def _differences(training: Training, base: Training) -> dict[str, object]:
    return {
        name: getattr(training, name)
        for name in Training.model_fields
        if getattr(training, name) != getattr(base, name)
    }
