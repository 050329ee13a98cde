"""The steps of a sweep, without Prefect.

`run_sweep` calls them in order; the flow `train-variants` calls them as tasks.
"""

from __future__ import annotations

import datetime
import functools
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from cnn_pipeline.base import events, metric_names
from cnn_pipeline.base.errors import Interrupted
from cnn_pipeline.base.holding import try_hold
from cnn_pipeline.base.home import cache_dir
from cnn_pipeline.base.metric_names import MEASURES
from cnn_pipeline.base.quantities import signed
from cnn_pipeline.base.space import full_disk
from cnn_pipeline.base.stops import keeping_stop, let_go
from cnn_pipeline.comparison import render
from cnn_pipeline.comparison.leaderboard import leaderboard
from cnn_pipeline.comparison.picture import small_svgs
from cnn_pipeline.comparison.types import Comparison
from cnn_pipeline.experiment import sweep_page
from cnn_pipeline.experiment.decide import Decision
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.own_name import claim_name
from cnn_pipeline.experiment.rounds import needed_trials, rounds_of, rounds_tags
from cnn_pipeline.experiment.stored import compare_stored
from cnn_pipeline.experiment.sweep_run import SweepRun
from cnn_pipeline.experiment.trials import CLAIMS, end_after
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.store import open_store
from cnn_pipeline.trainers.pool import trainers
from cnn_pipeline.trainers.protocol import Trainers

if TYPE_CHECKING:
    from cnn_pipeline.tracking.reader import SweepRecord
    from cnn_pipeline.tracking.writer import Tracker


_NONE: Mapping[str, str] = MappingProxyType({})


def new_sweep_id(name: str) -> str:
    """'filters-and-pooling-20261122-093000-4f1c': sorts by time, unique enough for one store."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{name}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@contextmanager
def running(
    decision: Decision, tags: Mapping[str, str], params: Mapping[str, str] = _NONE
) -> Iterator[SweepRun]:
    """Start the sweep, or go on with the stopped one, and announce it. Its run ends in any case.

    Nothing is written before. If another process goes on with the stopped one, a new one starts.
    `tags` and `params` replace what follows from the decision.
    """
    stopped = decision.stopped
    with ExitStack() as stack:
        if stopped is not None:
            claims = decision.home.state / CLAIMS
            holder = stack.enter_context(try_hold(claims, stopped.sweep_id, stopped.sweep_id))
            if holder is not None or not _still_stopped(decision):
                decision = replace(decision, stopped=None).with_stored(decision.trials)
        sweep_run = stack.enter_context(ending(begin(decision, tags, params)))
        announce(sweep_run)
        yield sweep_run


def _still_stopped(decision: Decision) -> bool:
    from cnn_pipeline.tracking.stopped import is_stopped

    assert decision.stopped is not None
    return is_stopped(open_store(decision.home, os.environ), decision.stopped.run_id)


def begin(
    decision: Decision, tags: Mapping[str, str], params: Mapping[str, str] = _NONE
) -> SweepRun:
    """Open the store, and start the parent run or reopen the stopped one.

    The run is ended if what it begins with cannot be written.
    """
    from cnn_pipeline.tracking.patience import open_patiently
    from cnn_pipeline.tracking.writer import Tracker

    sweep, card = decision.sweep, decision.card
    store = open_patiently(decision.home, os.environ)
    tracker = Tracker(store)
    experiment_id = tracker.experiment(names.experiment_name(card.name))
    claim_name(tracker, experiment_id, card)
    facts = {
        names.DATASET: card.name,
        names.DATA_DIGEST: card.digest,
        names.DATA_SOURCE: card.source,
        names.NUM_VALIDATION: str(card.num_validation),
        names.NUM_TEST: str(card.num_test),
        names.CONTENT_KEY: decision.key,
        names.CLASS_COUNTS: json.dumps({"fitted": card.fitted_counts, "test": card.test_counts}),
        names.DATA_WARNINGS: json.dumps(card.warnings, ensure_ascii=False),
    }
    if card.test_drawn:
        facts[names.TEST_DRAWN] = card.test_drawn
    if decision.search:
        facts[names.SEARCH] = decision.search
    own = {**sweep_page.sweep_params(sweep, card), names.SEEDS: sweep.seeds_text}
    if (stopped := decision.stopped) is None:
        sweep_id = new_sweep_id(sweep.name)
        run_id = tracker.start_sweep(experiment_id, sweep_id, sweep, {**facts, **tags})
    else:
        sweep_id, run_id = stopped.sweep_id, stopped.run_id
        tracker.reopen(run_id, {**facts, **tags}, stopped.worked_until)
        for trial_id in stopped.given_up:
            tracker.finish_given_up(trial_id)
    sweep_run = SweepRun(
        decision=decision,
        sweep_id=sweep_id,
        experiment_id=experiment_id,
        run_id=run_id,
        store_uri=store.uri,
        artifacts_uri=store.artifacts_uri,
        cache=cache_dir(os.environ),
        tags=dict(tags),
    )
    with ending(sweep_run):
        tracker.describe_sweep(experiment_id, run_id, sweep_id, sweep, {**own, **params})
        tracker.log_inputs(run_id, card.inputs)
    return sweep_run


def prepare_finish() -> None:
    """Import and start what `finish` needs, which takes most of a second."""
    import cnn_pipeline.experiment.report_data  # noqa: F401
    from cnn_pipeline.comparison.report.page import prepare

    prepare()


def finish(sweep_run: SweepRun) -> Outcome:
    """Compare the trials, write table, verdict and report, and end the parent run.

    The results are read back from MLflow, so that `cnn-pipeline compare` gives the same verdict
    later.
    """
    events.emit(events.Stage("comparing"))
    tracker, reader = sweep_run.tracker(), sweep_run.reader()
    record = reader.sweep(sweep_run.sweep_id)
    results, comparison = compare_stored(reader, record)
    tracker.log_files(sweep_run.run_id, comparison_files(comparison))
    tracker.log_files(sweep_run.run_id, _report_files(sweep_run, record, results, comparison))
    for result in results:
        note = _note_against_baseline(reader.note(result.run_id), result, comparison)
        if note:
            tracker.tag(result.run_id, {names.NOTE: note})
    _show(tracker, sweep_run, results, comparison)
    outcome = Outcome(
        sweep_id=sweep_run.sweep_id,
        experiment_id=sweep_run.experiment_id,
        parent_run_id=sweep_run.run_id,
        results=results,
        comparison=comparison,
    )
    reason = "; ".join(f"{result.name}: {result.reason}" for result in outcome.failed)
    tracker.end(sweep_run.run_id, "FINISHED" if outcome.ok else "FAILED", reason)
    return outcome


def _report_files(
    sweep_run: SweepRun,
    record: SweepRecord,
    results: Sequence[TrialResult],
    comparison: Comparison,
) -> dict[str, str | bytes]:
    """The report and the contact sheet in it, as artifacts of the parent run."""
    from cnn_pipeline.comparison.report.page import render_html
    from cnn_pipeline.experiment.report_data import report_data

    data = report_data(sweep_run.store, record, results, comparison, sweep_run.cache)
    page = render_html(data, cache=sweep_run.cache)
    sheet = {} if data.sheet is None else {names.SHEET_FILE: data.sheet}
    return {sweep_page.REPORT_FILE: page, **sheet}


def comparison_files(comparison: Comparison) -> dict[str, str | bytes]:
    """The comparison as artifacts of the parent run."""
    return {
        names.COMPARISON_FILE: render.to_json(comparison),
        "comparison.md": render.to_markdown(comparison),
        "comparison.txt": render.to_text(comparison, details=True),
        "leaderboard.csv": render.to_csv(comparison),
        "tables/leaderboard.json": leaderboard(comparison).to_json(orient="split", index=False),
    }


def _show(
    tracker: Tracker, sweep_run: SweepRun, results: Sequence[TrialResult], comparison: Comparison
) -> None:
    """Write the answer where MLflow's pages show it: numbers, tags and descriptions."""
    experiment_id, run_id = sweep_run.experiment_id, sweep_run.run_id
    seconds = tracker.seconds_worked(run_id)
    metrics = sweep_page.sweep_metrics(comparison, results, seconds)
    if comparison.rounds is not None:
        metrics[metric_names.NUM_ROUNDS] = float(comparison.rounds.rounds)
    tracker.log_summary(run_id, metrics)
    rows = {row.label: row for row in comparison.ranked}
    for result in results:
        if result.finished and result.label in rows:
            compared = sweep_page.compared_metrics(rows[result.label])
            tracker.log_summary(result.run_id, compared)
    pictures = dict(zip(names.PICTURE_FILES, small_svgs(comparison), strict=False))
    tracker.log_files(run_id, pictures)
    if sweep_page.may_replace(tracker.experiment_note(experiment_id)):
        note = sweep_page.experiment_note(experiment_id, run_id, comparison)
        tracker.describe_experiment(experiment_id, note)
    # Last: a sweep with a verdict has everything else.
    tags = sweep_page.sweep_tags(comparison, experiment_id, run_id, tuple(pictures))
    tracker.tag(run_id, {**tags, **rounds_tags(comparison.rounds)})


@contextmanager
def ending(sweep_run: SweepRun) -> Iterator[SweepRun]:
    """End the parent run as KILLED or FAILED if the block raises."""
    try:
        with keeping_stop():
            yield sweep_run
    except BaseException as error:
        let_go(error)
        raised = full_disk(error) or error
        failed = isinstance(raised, Exception) and not isinstance(raised, Interrupted)
        status = "FAILED" if failed else "KILLED"
        end_after(raised, sweep_run.tracker(), sweep_run.run_id, status)
        if raised is error:
            raise
        raise raised from error


def trainer_pool(decision: Decision) -> AbstractContextManager[Trainers]:
    """The trainers that were decided on, warm ones if there are."""
    crew = decision.crew
    logs = decision.home.state / "logs"
    return trainers(crew.most, crew.threads, logs, cluster=crew.cluster)


@contextmanager
def late_pool(decision: Decision) -> Iterator[Callable[[], Trainers]]:
    """Yield a function that returns the trainers, which start when it is first called."""
    with ExitStack() as stack:
        yield functools.cache(lambda: stack.enter_context(trainer_pool(decision)))


def announce(sweep_run: SweepRun) -> None:
    """Emit which trials run in any case, how many at a time, and which are there already."""
    decision = sweep_run.decision
    for text in decision.card.warnings:
        events.emit(events.DataWarning(text))
    if decision.stopped is not None:
        _announce_stopped(decision)
    expected = {trial.name: decision.expected_seconds[trial.name] for trial in decision.remaining}
    events.emit(
        events.SweepStarted(
            sweep_run.sweep_id,
            expected,
            decision.crew.workers,
            name=decision.sweep.name,
            data=decision.card.name,
            experiment_id=sweep_run.experiment_id,
            trials=tuple(trial.name for trial in decision.sweep.trials()),
            max_rounds=len(decision.sweep.all_seeds) if decision.sweep.in_rounds else 0,
            decide=decision.sweep.decide if decision.sweep.in_rounds else 0.0,
            metric=decision.sweep.measure,
            each={
                trial.label: decision.expected_seconds[trial.name]
                for trial in decision.sweep.trials()
            },
        )
    )


def _announce_stopped(decision: Decision) -> None:
    assert decision.stopped is not None
    complete, sweep = decision.complete, decision.sweep
    rounds = rounds_of(sweep, complete.values(), decision.card.num_validation)
    needed = {trial.name for trial in needed_trials(sweep, rounds)}
    events.emit(
        events.SweepContinued(
            decision.stopped.sweep_id, len(complete), len(needed | complete.keys())
        )
    )


def _note_against_baseline(note: str, result: TrialResult, comparison: Comparison) -> str:
    baseline = comparison.sweep.baseline
    metric = comparison.sweep.metric
    accuracies = {row.label: row.test_accuracy for row in comparison.rows}
    base, own = accuracies.get(baseline or ""), result.metric(metric_names.TEST[metric])
    note = note.partition(f"\n{names.AGAINST_BASELINE} ")[0]  # of an end that was interrupted
    if not note or base is None or own is None or result.label == baseline:
        return ""
    points = signed(own - base)
    what = f"{points} points of test {MEASURES[metric]}"
    return f"{note}\n{names.AGAINST_BASELINE} {baseline}: {what}.\n"
