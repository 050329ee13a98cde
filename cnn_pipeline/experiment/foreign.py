"""The verdict on MLflow runs that this project did not make. Nothing is written to their store."""

from __future__ import annotations

import dataclasses
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.errors import InvalidInput, did_you_mean
from cnn_pipeline.comparison.answers import ImageAnswers, by_class, other_images, read_answers
from cnn_pipeline.comparison.report.data import ReportData, TrialData
from cnn_pipeline.comparison.table import COSTS, RANKINGS, RUN_ID, named, verdict
from cnn_pipeline.comparison.types import Comparison
from cnn_pipeline.tracking.details import read_details
from cnn_pipeline.tracking.foreign import (
    ForeignRun,
    foreign_files,
    foreign_runs,
    listed_files,
    open_foreign,
)
from cnn_pipeline.tracking.store import Store


@dataclass(frozen=True)
class Question:
    """Which runs to compare, and by what."""

    uri: str
    """MLflow's tracking URI."""
    experiment: str
    group_by: tuple[str, ...]
    """Names of params or tags."""
    metric: str = metric_names.TEST_ACCURACY
    rank_by: str | None = None
    """Metric that ranks the groups; see `comparison.table.verdict` for the default."""
    seed: str = "seed"
    """Param or tag with the seed."""
    predictions: str | None = None
    """Path of the artifact with the predictions of a run; see `comparison.answers`."""
    condition: str = ""
    """Filter in MLflow's syntax."""


@dataclass(frozen=True, eq=False)
class RunsVerdict:
    """The comparison of runs, and what they answered to each image."""

    comparison: Comparison
    answers: Mapping[str, ImageAnswers]
    """By run id; empty without predictions."""


def verdict_on_runs(question: Question) -> RunsVerdict:
    """The comparison of the finished runs of an experiment.

    Raises:
        InvalidInput: the store or the experiment cannot be read, no run has a param or a metric,
            groups cannot be compared, or predictions are missing or of different images; names all
            faults that can be seen at once.
    """
    store = open_foreign(question.uri)
    runs = foreign_runs(store, question.experiment, question.condition)
    finished = [run for run in runs if run.status == "FINISHED"]
    faults = _missing(question, runs, finished)
    if faults:
        raise InvalidInput(faults)
    kept, notes = _without_repetitions(question, finished)
    frame = _frame(question, kept)
    answers, faults = _answers(store, question, kept, frame)
    try:
        found = verdict(
            frame,
            group_by=question.group_by,
            metric=question.metric,
            rank_by=question.rank_by,
            seed=question.seed,
            correct=_correct(frame, answers),
            name=question.experiment,
        )
    except InvalidInput as error:
        raise InvalidInput([*error.faults, *faults, *_differences(question, kept)]) from None
    if faults:
        raise InvalidInput(faults)
    notes = [*_unfinished(runs), *notes, *_differences(question, kept)]
    comparison = dataclasses.replace(found, notes=(*found.notes, *notes))
    ids = dict(zip(frame.index, frame[RUN_ID], strict=True))
    return RunsVerdict(comparison, {ids[name]: one for name, one in answers.items()})


def report_on_runs(question: Question, verdict: RunsVerdict) -> str:
    """The HTML report of what `verdict_on_runs` has found.

    It has the learning curves that the runs logged under Keras' names, and confusions of their
    predictions. What takes images, models or this project's own records is left out.
    """
    from cnn_pipeline.comparison.report.page import render_html

    store, found = open_foreign(question.uri), verdict.comparison
    answers = by_class(verdict.answers)
    trials = tuple(
        TrialData(
            name=f"{row.label} {seed}",
            label=row.label,
            seed=seed,
            run_id=run_id,
            curves=_curves(store, run_id),
            answers=answers.get(run_id),
        )
        for row in found.rows
        for seed, run_id in zip(row.seeds, row.run_ids, strict=True)
    )
    why = "other programs made these runs, and their images are not known here"
    return render_html(ReportData(comparison=found, trials=trials, no_images=why))


def _curves(store: Store, run_id: str) -> dict[str, tuple[float, ...]]:
    curves = read_details(store, run_id, curves=metric_names.CURVES).curves
    return {name: values for name, values in curves.items() if len(values) > 1}


def _missing(
    question: Question, runs: Sequence[ForeignRun], finished: Sequence[ForeignRun]
) -> list[str]:
    """Faults: params and metrics that no finished run has."""
    where = f"experiment {question.experiment!r}"
    if not finished:
        if not runs:
            chosen = " that meets --filter" if question.condition else ""
            return [f"--experiment: {where} has no run{chosen}"]
        return [f"--experiment: no run of {where} has finished: {_by_status(runs)}"]
    params = dict.fromkeys(name for run in finished for name in (*run.params, *run.tags))
    metrics = dict.fromkeys(name for run in finished for name in run.metrics)
    wanted = [("--group-by", "param", name, params) for name in question.group_by]
    wanted.append(("--metric", "metric", question.metric, metrics))
    if question.rank_by is not None:
        wanted.append(("--rank-by", "metric", question.rank_by, metrics))
    return [
        f"{flag}: no finished run of {where} has the {kind} {name!r}"
        + (did_you_mean(name, known) or f"; there are {named(known) or 'none'}")
        for flag, kind, name, known in wanted
        if name not in known
    ]


def _value(run: ForeignRun, name: str) -> str | None:
    return run.params.get(name, run.tags.get(name))


def _without_repetitions(
    question: Question, runs: Sequence[ForeignRun]
) -> tuple[list[ForeignRun], list[str]]:
    """Of runs with the same seed and params only the newest: they are one run, repeated."""
    newest: dict[object, str] = {}
    for run in runs:  # the oldest first
        seed = _value(run, question.seed)
        alike = (seed, *(_value(run, name) for name in question.group_by))
        key = run.run_id if seed is None else (alike, frozenset(run.params.items()))
        newest[key] = run.run_id
    ids = set(newest.values())
    kept = [run for run in runs if run.run_id in ids]
    left_out = [run.name for run in runs if run.run_id not in ids]
    if not left_out:
        return kept, []
    return kept, [
        f"Left out, because a newer run has the same params and the same seed: {named(left_out)}."
    ]


def _frame(question: Question, runs: Sequence[ForeignRun]) -> pd.DataFrame:
    names = Counter(run.name for run in runs)
    metrics = dict.fromkeys((question.metric, question.rank_by or "", *RANKINGS, *COSTS))
    rows = [
        {
            RUN_ID: run.run_id,
            **{name: _value(run, name) for name in (question.seed, *question.group_by)},
            **{name: run.metrics[name] for name in metrics if name in run.metrics},
        }
        for run in runs
    ]
    index = [run.name if names[run.name] == 1 else f"{run.name} {run.run_id[:8]}" for run in runs]
    return pd.DataFrame(rows, index=index)


def _answers(
    store: Store, question: Question, runs: Sequence[ForeignRun], frame: pd.DataFrame
) -> tuple[dict[str, ImageAnswers], list[str]]:
    """The answers of each run that has a metric and params, by its name in `frame`; and faults."""
    path = question.predictions
    if path is None:
        return {}, []
    needed = frame[[*question.group_by, question.metric]].notna().all(axis=1)
    chosen = {name: run for name, run in zip(frame.index, runs, strict=True) if needed[name]}
    files = foreign_files(store, chosen.values(), path)
    without = [name for name, run in chosen.items() if files[run.run_id] is None]
    if without:
        there = ", ".join(listed_files(store, chosen[without[0]])) or "none"
        return {}, [
            f"--predictions: each run needs an artifact {path!r}, and {named(without)} "
            f"{'has' if len(without) == 1 else 'have'} none; the artifacts of {without[0]} are: "
            f"{there}"
        ]
    answers: dict[str, ImageAnswers] = {}
    unreadable: dict[str, list[str]] = {}
    for name, run in chosen.items():
        try:
            answers[name] = read_answers(path, files[run.run_id] or b"")
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            unreadable.setdefault(" ".join(str(error).split()), []).append(name)
    faults = [
        f"--predictions: {path} of {named(names)}: {why}" for why, names in unreadable.items()
    ] or [f"--predictions: {fault}" for fault in other_images(answers)]
    return ({}, faults) if faults else (answers, [])


def _correct(frame: pd.DataFrame, answers: Mapping[str, ImageAnswers]) -> NDArray[np.bool_] | None:
    """bool `[runs, n]`: which images each run got right; False for runs that are left out."""
    if not answers:
        return None
    none = np.zeros_like(next(iter(answers.values())).correct)
    return np.stack([answers[name].correct if name in answers else none for name in frame.index])


def _unfinished(runs: Sequence[ForeignRun]) -> list[str]:
    left_out = [run for run in runs if run.status != "FINISHED"]
    if not left_out:
        return []
    return [f"Left out, because they have not finished: {_by_status(left_out)}."]


def _by_status(runs: Iterable[ForeignRun]) -> str:
    by_status: dict[str, list[str]] = {}
    for run in runs:
        by_status.setdefault(run.status, []).append(run.name)
    return "; ".join(f"{named(names)} ({status})" for status, names in by_status.items())


def _differences(question: Question, runs: Sequence[ForeignRun]) -> list[str]:
    """What else differs between runs of one group, in a sentence."""
    groups: dict[tuple[str | None, ...], list[ForeignRun]] = {}
    for run in runs:
        groups.setdefault(tuple(_value(run, name) for name in question.group_by), []).append(run)
    apart = (question.seed, *question.group_by)
    names = dict.fromkeys(name for run in runs for name in run.params if name not in apart)
    varying = [
        name
        for name in names
        if any(len({run.params.get(name) for run in group}) > 1 for group in groups.values())
    ]
    if not varying:
        return []
    return [
        f"Runs of one group differ in {named(varying)}; that counts as chance here. Name it in "
        "--group-by to compare it."
    ]
