"""Read all that the report of a stored sweep shows. Nothing is written."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.comparison.report.data import ReportData, TrialData, detailed
from cnn_pipeline.comparison.search import SearchRecord
from cnn_pipeline.comparison.types import Comparison
from cnn_pipeline.data.dataset import Dataset, load_dataset
from cnn_pipeline.data.describe import describe
from cnn_pipeline.explain.drawing.page import png_bytes
from cnn_pipeline.explain.plots.contact_sheet import draw_contact_sheet
from cnn_pipeline.network.evaluation import Answers, Evaluation, read_predictions
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.command_line import sweep_commands
from cnn_pipeline.settings.trial import DataSettings
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.details import RunDetails, read_details
from cnn_pipeline.tracking.reader import DamagedRecord, Reader, SweepRecord, check_predictions
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
    pair: tuple[str, str] | None = None,
) -> ReportData:
    """All that the report of a sweep shows; missing data are left out, with the reason.

    Of many variants only the runs of the best are read, and those of `pair`.
    """
    shown = detailed(comparison, pair)
    parent = read_details(store, record.run_id)
    trials = tuple(_trial(store, result) for result in results if result.label in shown)
    dataset, reason = _dataset(record.sweep.data, parent.tags.get(names.DATA_DIGEST, ""), cache)
    description, sheet = None, None
    if dataset is not None:
        description = describe(dataset, cache)
        sheet = png_bytes(draw_contact_sheet(dataset, description))
    return ReportData(
        comparison=comparison,
        trials=trials,
        dataset=description,
        images=None if dataset is None else dataset.test.images,
        sheet=sheet,
        no_images=reason,
        facts=_facts(parent),
        commands=sweep_commands(record.sweep),
        search=_search(store, parent.tags.get(names.SEARCH, "")),
    )


def _search(store: Store, sweep_id: str) -> SearchRecord | None:
    """The search that chose the variants; None without one, or if it was deleted."""
    if not sweep_id:
        return None
    try:
        run_id = Reader(store, patient=True).sweep(sweep_id).run_id
    except UserError:
        return None
    file = read_details(store, run_id, files=(names.SEARCH_FILE,)).files.get(names.SEARCH_FILE)
    return None if file is None else TypeAdapter(SearchRecord).validate_json(file)


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
    try:
        check_predictions(file, details.tags)
    except DamagedRecord:
        return None  # the comparison leaves them out, too, and says so
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
