"""The networks that a retraining trains."""

from __future__ import annotations

from cnn_pipeline.settings.sweep import AUTO, Entry, Sweep
from cnn_pipeline.settings.trial import Training, Trial

_ALONE = (0, 1, 2, 3, 4, 5)
"""Seeds of a single candidate: nothing is left to decide between, but the gate compares recipes.

With fewer, it promotes a better one less often (docs/explanation/gate.md).
"""


def with_seeds(sweep: Sweep) -> Sweep:
    """The candidates with several seeds, also where seeds 'auto' would train one of them once."""
    if sweep.seeds == AUTO and not sweep.in_rounds:
        return sweep.model_copy(update={"seeds": _ALONE})
    return sweep


def candidate_sweep(sweep: Sweep, champion: Trial | None) -> Sweep:
    """The configured sweep, and the champion's network and training beside it, with the same seeds.

    A champion that the sweep has already is not trained twice. Threads are no part of a recipe.
    """
    if champion is None:
        return sweep
    trials = sweep.trials(sweep.first_seeds[:1])
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
    fields = {name: getattr(sweep, name) for name in sweep.model_fields_set}
    return Sweep(**{**fields, "variant": type(champion.variant)(), "axes": type(sweep.axes)(),
                    "entries": tuple(entries)})  # fmt: skip


def _without_threads(training: Training) -> Training:
    return training.model_copy(update={"threads": 0})


def _differences(training: Training, base: Training) -> dict[str, object]:
    return {
        name: getattr(training, name)
        for name in Training.model_fields
        if getattr(training, name) != getattr(base, name)
    }
