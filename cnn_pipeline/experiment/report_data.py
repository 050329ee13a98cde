"""Read all that the report of a stored sweep shows. Nothing is written."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.comparison.report.data import ReportData, TrialData
from cnn_pipeline.comparison.types import Comparison
from cnn_pipeline.data.dataset import Dataset, load_dataset
from cnn_pipeline.data.describe import describe
from cnn_pipeline.network.evaluation import Answers, Evaluation, read_predictions
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.command_line import sweep_commands
from cnn_pipeline.settings.trial import DataSettings
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.details import RunDetails, read_details
from cnn_pipeline.tracking.reader import SweepRecord
from cnn_pipeline.tracking.store import Store

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
    """All that the report of a sweep shows; missing data are left out, with the reason."""
    parent = read_details(store, record.run_id)
    trials = tuple(_trial(store, result) for result in results)
    dataset, reason = _dataset(record.sweep.data, parent.tags.get(names.DATA_DIGEST, ""), cache)
    return ReportData(
        comparison=comparison,
        trials=trials,
        dataset=None if dataset is None else describe(dataset),
        images=None if dataset is None else dataset.test.images,
        no_images=reason,
        facts=_facts(parent),
        commands=sweep_commands(record.sweep),
    )


def _trial(store: Store, result: TrialResult) -> TrialData:
    details = read_details(store, result.run_id, curves=metric_names.CURVES, files=_FILES)
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
    if file is None or names.CLASS_NAMES not in details.tags:
        return None
    labels, probabilities = read_predictions(pd.read_parquet(io.BytesIO(file)))
    class_names = tuple(json.loads(details.tags[names.CLASS_NAMES]))
    return Evaluation(class_names, labels, probabilities).answers


def _document(details: RunDetails, name: str) -> dict[str, Any]:
    return dict(json.loads(details.files.get(name, b"{}")))


def _dataset(settings: DataSettings, digest: str, cache: Path) -> tuple[Dataset | None, str]:
    """The data of the sweep, or the reason why they are missing."""
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
    commit = tags.get(names.GIT_COMMIT, "")
    if commit and tags.get(names.GIT_DIRTY) == "true":
        commit += " with uncommitted changes"
    facts = {
        "started": f"{parent.started:%Y-%m-%d %H:%M} UTC",
        "git commit": commit,
        "code digest": tags.get(names.CODE_DIGEST, ""),
    }
    return {name: value for name, value in facts.items() if value}
