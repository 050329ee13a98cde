"""Read stored sweeps: comparison, report, outcome."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_pipeline.base.home import Home, cache_dir
from cnn_pipeline.comparison.compare import compare, describe_sweep
from cnn_pipeline.comparison.types import Comparison
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.network.results import TrialResult

if TYPE_CHECKING:
    from cnn_pipeline.tracking.reader import Reader, SweepRecord
    from cnn_pipeline.tracking.store import Store


def outcome_of(reader: Reader, record: SweepRecord) -> Outcome:
    """How a stored sweep ended, with the comparison computed from its runs."""
    results, comparison = compare_stored(reader, record)
    return Outcome(
        sweep_id=record.sweep_id,
        experiment_id=record.experiment_id,
        parent_run_id=record.run_id,
        results=results,
        comparison=comparison,
        trained=False,
    )


def load_comparison(sweep_id: str | None, home: Home) -> Comparison:
    """The comparison of a sweep, the latest by default, computed from its runs.

    Raises:
        UserError: there is no such sweep.
    """
    from cnn_pipeline.tracking.reader import Reader
    from cnn_pipeline.tracking.store import open_store

    reader = Reader(open_store(home, os.environ, create=False))
    return compare_stored(reader, reader.sweep(sweep_id))[1]


def load_report(sweep_id: str | None, home: Home, pair: tuple[str, str] | None = None) -> str:
    """The HTML report of a sweep, the latest by default, computed from its runs.

    `pair` names the two variants whose answers are compared.

    Raises:
        UserError: there is no such sweep, or a variant of `pair` is not in it.
    """
    from cnn_pipeline.tracking.reader import Reader
    from cnn_pipeline.tracking.store import open_store

    store = open_store(home, os.environ, create=False)
    reader = Reader(store)
    record = reader.sweep(sweep_id)
    results, comparison = compare_stored(reader, record)
    return render_report(store, record, results, comparison, cache_dir(os.environ), pair)


def render_report(
    store: Store,
    record: SweepRecord,
    results: tuple[TrialResult, ...],
    comparison: Comparison,
    cache: Path,
    pair: tuple[str, str] | None = None,
) -> str:
    """The HTML report of a stored sweep."""
    from cnn_pipeline.comparison.report.page import render_html
    from cnn_pipeline.experiment.report_data import report_data

    data = report_data(store, record, results, comparison, cache)
    return render_html(data, pair=pair, cache=cache)


def compare_stored(
    reader: Reader, record: SweepRecord
) -> tuple[tuple[TrialResult, ...], Comparison]:
    results = reader.trials(record)
    sweep = describe_sweep(
        record.sweep, sweep_id=record.sweep_id, dataset=record.dataset, num_test=record.num_test
    )
    correct = reader.correct(results)
    return results, compare(results, correct, num_validation=record.num_validation, sweep=sweep)
