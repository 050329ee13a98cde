"""The command lines that repeat a trial or a sweep."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from cnn_pipeline.settings.named import DEFAULT, NAMED
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.sweep import AUTO, ONLY_AUTO, Axes, Sweep
from cnn_pipeline.settings.trial import DataSettings, Training, Trial, Variant


def reproducing_command(trial: Trial, data: DataSettings) -> str:
    """The shell command that repeats `trial` alone.

    'cnn-pipeline run --filters 64 --pooling max --seeds 0', and every other setting that is not
    the default. A trial with a label gets its network's name instead.
    """
    network = trial.variant.in_use
    shown = {"filters": network["filters"], "pooling": network["pooling"], "seeds": trial.seed}
    shown |= _changed(network, Variant().in_use) | _shared(trial.training, data)
    return _run({field: (value,) for field, value in shown.items()})


def sweep_commands(sweep: Sweep) -> tuple[str, ...]:
    """The command lines that train a sweep's trials again.

    One line for a named sweep or a grid, else one line per trial.
    """
    for name, make in NAMED.items():
        if _trained(make()) == _trained(sweep):
            return (_run({"sweep": (name,)}),)
    grid = _grid(sweep)
    if grid is None:
        return tuple(reproducing_command(trial, sweep.data) for trial in sweep.trials())
    return (_run({**grid, **_seeds(sweep), **_metric(sweep), **_changed_lists(sweep)}),)


def flag_name(field: str) -> str:
    """'--batch-size' for 'batch_size'; the data's source is '--data'."""
    return "--data" if field == "source" else "--" + field.replace("_", "-")


def _run(settings: Mapping[str, Iterable[Any]]) -> str:
    words = ["cnn-pipeline", "run"]
    for field, values in settings.items():
        words += [flag_name(field), ",".join(map(spell, values))]
    return shlex.join(words)


def _trained(sweep: Sweep) -> tuple[Any, ...]:
    return sweep.trials(), sweep.data, _seeds(sweep), _metric(sweep)


def _seeds(sweep: Sweep) -> dict[str, tuple[Any, ...]]:
    """The flags of the seeds; none for the default."""
    if sweep.seeds != AUTO:
        return {"seeds": sweep.seeds}
    fields = Sweep.model_fields
    return {
        name: (getattr(sweep, name),)
        for name in ONLY_AUTO
        if getattr(sweep, name) != fields[name].default
    }


def _metric(sweep: Sweep) -> dict[str, tuple[str]]:
    """The flag of the metric; none where the data decide."""
    return {} if sweep.metric == AUTO else {"metric": (sweep.metric,)}


def _shared(training: Training, data: DataSettings) -> dict[str, Any]:
    """Settings that are not the default."""
    return {
        **_changed(training.model_dump(), Training().model_dump()),
        **_changed(data.model_dump(), DataSettings().model_dump()),
    }


def _changed_lists(sweep: Sweep) -> dict[str, tuple[Any, ...]]:
    """Settings of training and data that are not the default: one value, or those of an axis."""
    axes = sweep.axes.given
    own = {name: axes.get(name, (value,)) for name, value in sweep.training.model_dump().items()}
    base = {name: (value,) for name, value in Training().model_dump().items()}
    data = _changed(sweep.data.model_dump(), DataSettings().model_dump())
    return _changed(own, base) | {name: (value,) for name, value in data.items()}


def _changed(fields: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value != base[name]}


def _grid(sweep: Sweep) -> dict[str, tuple[Any, ...]] | None:
    """The lists to give on the command line; None if no grid has exactly these variants."""
    if sweep.entries:
        return None
    variants = list(dict.fromkeys(trial.variant for trial in sweep.trials([0])))
    used = [variant.in_use for variant in variants]
    grid: dict[str, tuple[Any, ...]] = {}
    for field, default in Variant().in_use.items():
        values = tuple(dict.fromkeys(fields[field] for fields in used if field in fields))
        if values not in ((), (default,)) or getattr(NAMED[DEFAULT]().axes, field):
            grid[field] = values
    try:
        again = Sweep(axes=Axes(**grid))
    except ValidationError:
        return None
    return grid if [trial.variant for trial in again.trials([0])] == variants else None
