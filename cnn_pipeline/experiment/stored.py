"""Read stored sweeps: comparison, report, outcome."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home, cache_dir
from cnn_pipeline.base.metric_names import Metric
from cnn_pipeline.comparison.compare import compare, describe_sweep
from cnn_pipeline.comparison.partial import never_run_note
from cnn_pipeline.comparison.rounds import Rounds
from cnn_pipeline.comparison.types import Comparison, Progress
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.rounds import needed_trials, rounds_of
from cnn_pipeline.experiment.sweep_facts import sweep_facts
from cnn_pipeline.network.image_scores import Scores, image_scores
from cnn_pipeline.network.results import TrialResult

if TYPE_CHECKING:
    from cnn_pipeline.comparison.two_sweeps import StoredSweep
    from cnn_pipeline.comparison.two_sweeps_types import TwoSweeps
    from cnn_pipeline.tracking.reader import Reader, SweepRecord
    from cnn_pipeline.tracking.store import Store


GivenAnswers = Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]]
"""True and predicted class of each test image, int64 `[n]`, by name of the trial."""


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


def load_comparison(sweep: str | None, home: Home) -> Comparison:
    """The comparison of a sweep, by default the last one that has ended, computed from its runs.

    `sweep` is an id, or a name, which means the last ended sweep of that name. What is there so
    far of a sweep that runs is ranked, but not tested: see `Comparison.progress`.

    Raises:
        UserError: there is no such sweep.
    """
    reader = _reader(home)
    return _compare_so_far(reader, reader.sweep(sweep, ended=True))[1]


def load_report(sweep: str | None, home: Home, pair: tuple[str, str] | None = None) -> str:
    """The HTML report of a sweep, found as by `load_comparison`, computed from its runs.

    `pair` names the two variants whose answers are compared.

    Raises:
        UserError: there is no such sweep, or a variant of `pair` is not in it.
    """
    reader = _reader(home)
    record = reader.sweep(sweep, ended=True)
    results, comparison = _compare_so_far(reader, record)
    return render_report(reader.store, record, results, comparison, cache_dir(os.environ), pair)


def load_two(first: str, second: str, home: Home) -> TwoSweeps:
    """Two sweeps that have ended, found as by `load_comparison`, compared with each other.

    Raises:
        UserError: there is no such sweep, one of them is running, or they are the same.
    """
    from cnn_pipeline.comparison.two_sweeps import compare_two

    reader = _reader(home)
    records = [reader.sweep(word, ended=True) for word in (first, second)]
    running = [record.sweep_id for record in records if record.running]
    if running:
        raise UserError(
            f"two sweeps are compared when both have ended, and {' and '.join(running)} is "
            "running. Wait for it, or compare it alone to see how far it is."
        )
    if records[0].sweep_id == records[1].sweep_id:
        raise UserError(f"two sweeps are required, received {records[0].sweep_id} twice")
    return compare_two(*(_whole(reader, record) for record in records))


def _whole(reader: Reader, record: SweepRecord) -> StoredSweep:
    from cnn_pipeline.comparison.two_sweeps import StoredSweep

    results = reader.trials(record)
    answers = reader.answers(results)
    data, code = sweep_facts(reader, record, results)
    return StoredSweep(
        comparison=_compare(record, results, answers),
        settings=record.sweep,
        results=results,
        correct=_scores(answers, record.sweep.measure),
        classes=_classes(answers),
        data=data,
        code=code,
    )


def newer_running(sweep: str | None, home: Home) -> str | None:
    """Id of a sweep that runs and is newer than the one that `load_comparison` finds; or None.

    None also if `sweep` is an id.

    Raises:
        UserError: there is no such sweep.
    """
    reader = _reader(home)
    record = reader.sweep(sweep, ended=True)
    return None if record.sweep_id == sweep else reader.running_since(record)


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

    data = report_data(store, record, results, comparison, cache, pair)
    return render_html(data, pair=pair, cache=cache)


def compare_stored(
    reader: Reader, record: SweepRecord
) -> tuple[tuple[TrialResult, ...], Comparison]:
    """The trials of a sweep, all of which have ended, and their comparison."""
    results = reader.trials(record)
    rounds = rounds_of(record.sweep, results, record.num_validation)
    if rounds is not None and rounds.rounds:
        # Whoever stopped the sweep ended them in the middle of a round: no fault of theirs.
        results = tuple(result for result in results if result.status != "KILLED")
    comparison = _compare(record, results, reader.answers(results))
    missing = _missing(record, results, rounds) if rounds is None or not rounds.rounds else ()
    notes = never_run_note(missing, len(record.sweep.trials()))
    comparison = replace(comparison, notes=(*comparison.notes, *notes), rounds=rounds)
    return results, comparison


def _compare_so_far(
    reader: Reader, record: SweepRecord
) -> tuple[tuple[TrialResult, ...], Comparison]:
    """As `compare_stored`, but without the trials that have not ended if the sweep runs."""
    if record.running:
        results = reader.ended_trials(record)
        rounds = rounds_of(record.sweep, results, record.num_validation)
        if remaining := _missing(record, results, rounds):
            number = rounds.rounds + 1 if rounds else 0
            progress = Progress(len(results) + len(remaining), remaining, number)
            comparison = _compare(record, results, reader.answers(results), progress)
            return results, replace(comparison, rounds=rounds)
    return compare_stored(reader, record)


def _missing(
    record: SweepRecord, results: Sequence[TrialResult], rounds: Rounds | None
) -> tuple[str, ...]:
    """Names of the trials that the sweep needs so far, and that have no result."""
    known = {result.name for result in results}
    needed = needed_trials(record.sweep, rounds)
    return tuple(trial.name for trial in needed if trial.name not in known)


def _compare(
    record: SweepRecord,
    results: tuple[TrialResult, ...],
    answers: GivenAnswers,
    progress: Progress | None = None,
) -> Comparison:
    sweep = describe_sweep(
        record.sweep,
        sweep_id=record.sweep_id,
        dataset=record.dataset,
        num_test=record.num_test,
        test_counts=record.test_counts,
        warnings=record.data_warnings,
        test_drawn=record.test_drawn,
    )
    return compare(
        results,
        _scores(answers, sweep.metric),
        num_validation=record.num_validation,
        sweep=sweep,
        classes=_classes(answers),
        progress=progress,
    )


def _scores(answers: GivenAnswers, metric: Metric) -> dict[str, Scores]:
    return {name: image_scores(metric, *each) for name, each in answers.items()}


def _classes(answers: GivenAnswers) -> NDArray[np.int64] | None:
    """True class of each test image, the same in all trials; None where no trial has answers."""
    return next((labels for labels, _ in answers.values()), None)


def _reader(home: Home) -> Reader:
    from cnn_pipeline.tracking.reader import Reader
    from cnn_pipeline.tracking.store import open_store

    return Reader(open_store(home, os.environ, create=False))
