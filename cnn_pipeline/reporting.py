"""From a sweep in the store to its report: reads the runs and the data, and writes nothing."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cnn_pipeline.comparison import Comparison
from cnn_pipeline.config import Axes, DataSettings, Sweep, Training, Variant
from cnn_pipeline.data import Dataset, describe, load_dataset
from cnn_pipeline.errors import UserError
from cnn_pipeline.evaluation import Answers, Evaluation, read_predictions
from cnn_pipeline.report import ReportData, TrialData
from cnn_pipeline.results import TrialResult
from cnn_pipeline.sweeps import DEFAULT, NAMED, flag_name, reproducing_command
from cnn_pipeline.tracking import RunDetails, Store, SweepRecord, names, read_details

_CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")
_JOURNEY = "plots/journey.png"
_CONFIG, _LAYERS = names.CONFIG_FILE, names.LAYERS_FILE
_FILES = (names.PREDICTIONS_FILE, _CONFIG, _LAYERS, _JOURNEY)


def report_data(
    store: Store,
    record: SweepRecord,
    results: Sequence[TrialResult],
    comparison: Comparison,
    cache: Path,
) -> ReportData:
    """All that the report of a sweep shows; what cannot be had is left out, with the reason."""
    parent = read_details(store, record.run_id)
    trials = tuple(_trial(store, result) for result in results)
    dataset, reason = _dataset(record.sweep.data, parent.tags.get("data_digest", ""), cache)
    return ReportData(
        comparison=comparison,
        trials=trials,
        dataset=None if dataset is None else describe(dataset),
        images=None if dataset is None else dataset.test.images,
        no_images=reason,
        facts=_facts(parent),
        commands=sweep_commands(record.sweep),
    )


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


def _trial(store: Store, result: TrialResult) -> TrialData:
    details = read_details(store, result.run_id, curves=_CURVES, files=_FILES)
    return TrialData(
        name=result.name,
        label=result.label,
        seed=result.seed,
        run_id=result.run_id,
        curves=details.curves,
        answers=_answers(details) if result.finished else None,
        journey=details.files.get(_JOURNEY),
        config=_document(details, _CONFIG),
        plan=_document(details, _LAYERS),
    )


def _answers(details: RunDetails) -> Answers | None:
    file = details.files.get(names.PREDICTIONS_FILE)
    if file is None or "class_names" not in details.tags:
        return None
    labels, probabilities = read_predictions(pd.read_parquet(io.BytesIO(file)))
    class_names = tuple(json.loads(details.tags["class_names"]))
    return Evaluation(class_names, labels, probabilities).answers


def _document(details: RunDetails, name: str) -> dict[str, Any]:
    return dict(json.loads(details.files.get(name, b"{}")))


def _dataset(settings: DataSettings, digest: str, cache: Path) -> tuple[Dataset | None, str]:
    """The sweep's data, or why it is not at hand."""
    try:
        dataset = load_dataset(settings, cache)
    except UserError as error:
        return None, str(error).strip().rstrip(".")
    if dataset.digest != digest:
        return None, (
            f"the data have changed since the sweep ran: their digest was {digest[:12]}..., "
            f"now it is {dataset.digest[:12]}..."
        )
    return dataset, ""


def _facts(parent: RunDetails) -> dict[str, str]:
    tags = parent.tags
    commit = tags.get("git_commit", "")
    if commit and tags.get("git_dirty") == "true":
        commit += " with changes that were not committed"
    facts = {
        "started": f"{parent.started:%Y-%m-%d %H:%M} UTC",
        "git commit": commit,
        "code digest": tags.get("code_digest", ""),
    }
    return {name: value for name, value in facts.items() if value}
