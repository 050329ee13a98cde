"""The command lines that repeat a trial or a sweep."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from cnn_pipeline.settings.named import DEFAULT, NAMED
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.settings.trial import (
    DataSettings,
    Settings,
    Training,
    Trial,
    Variant,
)


def reproducing_command(trial: Trial, data: DataSettings) -> str:
    """The shell command that repeats `trial` alone.

    'cnn-pipeline run --filters 64 --pooling max --seeds 0', with every other setting that is not
    the default. The name of a labelled trial is not repeated, its network and training are.
    """
    settings: dict[str, Any] = {
        "filters": trial.variant.filters_text,
        "pooling": trial.variant.pooling,
        "seeds": trial.seed,
    }
    for value in (trial.variant, trial.training, data):
        settings |= {k: v for k, v in _changed(value).items() if k not in settings}
    if isinstance(trial.variant.filters, tuple) or trial.variant.pooling == "none":
        follows = "conv_layers" if isinstance(trial.variant.filters, tuple) else "pool_size"
        settings.pop(follows, None)
    words = ["cnn-pipeline", "run"]
    for field, setting in settings.items():
        text = str(setting).lower() if isinstance(setting, bool) else str(setting)
        words += [flag_name(field), text]
    return shlex.join(words)


def _changed(settings: Settings) -> dict[str, Any]:
    base = type(settings)().model_dump()
    return {k: v for k, v in settings.model_dump().items() if v != base[k]}


def flag_name(field: str) -> str:
    """'--batch-size' for 'batch_size'; the data's source is '--data'."""
    return "--data" if field == "source" else "--" + field.replace("_", "-")


def sweep_commands(sweep: Sweep) -> tuple[str, ...]:
    """The command lines that train a sweep's trials again.

    One line for a named sweep or a grid; a sweep of listed variants takes one for each trial.
    """
    for name, make in NAMED.items():
        if make().trials() == sweep.trials() and make().data == sweep.data:
            return (shlex.join(["cnn-pipeline", "run", "--sweep", name]),)
    if sweep.entries:
        return tuple(reproducing_command(trial, sweep.data) for trial in sweep.trials())
    words = ["cnn-pipeline", "run"]
    for field, values in _grid(sweep).items():
        words += [flag_name(field), ",".join(map(_spelled, values))]
    for settings, base in ((sweep.training, Training()), (sweep.data, DataSettings())):
        for field, value in settings:
            if value != getattr(base, field):
                words += [flag_name(field), _spelled(value)]
    return (shlex.join(words),)


def _grid(sweep: Sweep) -> dict[str, Sequence[Any]]:
    """The values of every axis that must be given on the command line."""
    default = NAMED[DEFAULT]()
    grid: dict[str, Sequence[Any]] = {}
    for field in Axes.model_fields:
        listed, single = getattr(sweep.axes, field), getattr(sweep.variant, field)
        if listed:
            grid[field] = listed
        elif getattr(default.axes, field) or single != getattr(Variant(), field):
            grid[field] = (single,)
    if isinstance(sweep.variant.filters, tuple) or any(
        isinstance(value, tuple) for value in grid.get("filters", ())
    ):
        grid.pop("conv_layers", None)  # as many as filters are listed
    if grid.get("pooling") == ("none",):
        grid.pop("pool_size", None)  # there is no window without pooling
    return {**grid, "seeds": sweep.seeds}


def _spelled(value: object) -> str:
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
