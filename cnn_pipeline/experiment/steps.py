"""The steps of a sweep, without Prefect.

`run_sweep` calls them in order; the flow `train-variants` calls them as tasks.
"""

from __future__ import annotations

import datetime
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from cnn_pipeline.base import events, metric_names
from cnn_pipeline.base.home import cache_dir
from cnn_pipeline.base.quantities import signed
from cnn_pipeline.comparison import render
from cnn_pipeline.comparison.leaderboard import leaderboard
from cnn_pipeline.comparison.types import Comparison
from cnn_pipeline.experiment.decide import Decision
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.stored import compare_stored, render_report
from cnn_pipeline.experiment.sweep_run import SweepRun
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.trial import Trial
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.store import Store, open_store, redacted
from cnn_pipeline.trainers.messages import Job
from cnn_pipeline.trainers.pool import TrainerPool, trainers

if TYPE_CHECKING:
    from cnn_pipeline.tracking.reader import Reader
    from cnn_pipeline.tracking.writer import Tracker


def new_sweep_id(name: str) -> str:
    """'filters-and-pooling-20261122-093000-4f1c': sorts by time, unique enough for one store."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{name}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def begin(decision: Decision, tags: Mapping[str, str]) -> SweepRun:
    """Open the store and start the parent run: nothing is written before."""
    from cnn_pipeline.tracking.writer import Tracker

    sweep, card = decision.sweep, decision.card
    store = open_store(decision.home, os.environ)
    tracker = Tracker(store)
    sweep_id = new_sweep_id(sweep.name)
    experiment_id = tracker.experiment(names.experiment_name(card.name))
    facts = {
        names.DATASET: card.name,
        names.DATA_DIGEST: card.digest,
        names.DATA_SOURCE: card.source,
        names.NUM_VALIDATION: str(card.num_validation),
        names.NUM_TEST: str(card.num_test),
        names.CLASS_COUNTS: json.dumps({"fitted": card.fitted_counts, "test": card.test_counts}),
    }
    run_id = tracker.start_sweep(experiment_id, sweep_id, sweep, {**facts, **tags})
    tracker.log_inputs(run_id, card.inputs)
    return SweepRun(
        decision=decision,
        sweep_id=sweep_id,
        experiment_id=experiment_id,
        run_id=run_id,
        store_uri=store.uri,
        artifacts_uri=store.artifacts_uri,
        cache=cache_dir(os.environ),
        tags=dict(tags),
    )


def run_trial(
    sweep_run: SweepRun, trial: Trial, pool: TrainerPool, tags: Mapping[str, str]
) -> TrialResult:
    """Run one trial on a trainer. Its MLflow run ends whatever happens."""
    tracker = _tracker(sweep_run)
    started = time.perf_counter()
    run_id = start_trial(tracker, sweep_run, trial, tags)
    try:
        reply = pool.run(job_of(sweep_run, trial, run_id))
    except BaseException as error:
        tracker.end(run_id, "KILLED", f"the sweep was stopped: {type(error).__name__}")
        raise
    tracker.end(run_id, reply.status, reply.reason)
    seconds = time.perf_counter() - started
    events.emit(events.TrialEnded(trial.name, reply.status, seconds, reply.reason, reply.metrics))
    return TrialResult(
        name=trial.name,
        label=trial.label,
        seed=trial.seed,
        run_id=run_id,
        status=reply.status,
        reason=reply.reason,
        content_key=sweep_run.decision.content_keys[trial.name],
        metrics=reply.metrics,
    )


def reuse_trial(sweep_run: SweepRun, trial: Trial, tags: Mapping[str, str]) -> TrialResult:
    """Copy the stored run of a reusable trial into this sweep, with the same logged model."""
    source = sweep_run.decision.reusable[trial.name]
    tracker = _tracker(sweep_run)
    run_id = start_trial(tracker, sweep_run, trial, tags)
    try:
        tracker.copy_trial(source.run_id, run_id)
    except BaseException as error:
        tracker.end(run_id, "KILLED", f"the sweep was stopped: {type(error).__name__}")
        raise
    tracker.end(run_id, "FINISHED")
    first = source.reused_from or source.run_id
    events.emit(events.TrialReused(trial.name, first))
    return TrialResult(
        name=trial.name,
        label=trial.label,
        seed=trial.seed,
        run_id=run_id,
        status="FINISHED",
        reused_from=first,
        content_key=source.content_key,
        metrics=source.metrics,
    )


def start_trial(
    tracker: Tracker, sweep_run: SweepRun, trial: Trial, tags: Mapping[str, str]
) -> str:
    """Start the MLflow run of a trial. Returns its run id."""
    from cnn_pipeline.tracking.views import run_colors

    return tracker.start_trial(
        sweep_run.experiment_id,
        sweep_run.run_id,
        sweep_run.sweep_id,
        trial,
        {
            **sweep_run.tags,
            **tags,
            names.COLOR: run_colors(sweep_run.decision.sweep)[trial.label],
            names.CONTENT_KEY: sweep_run.decision.content_keys[trial.name],
        },
    )


def job_of(sweep_run: SweepRun, trial: Trial, run_id: str) -> Job:
    """The message that has a trainer run a trial whose MLflow run has started."""
    return Job(
        trial=trial,
        data=sweep_run.decision.sweep.data,
        data_digest=sweep_run.decision.card.digest,
        cache=str(sweep_run.cache),
        store_uri=sweep_run.store_uri,
        artifacts_uri=sweep_run.artifacts_uri,
        run_id=run_id,
        parent_run_id=sweep_run.run_id,
    )


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
    tracker, reader = _tracker(sweep_run), _reader(sweep_run)
    record = reader.sweep(sweep_run.sweep_id)
    results, comparison = compare_stored(reader, record)
    tracker.log_files(sweep_run.run_id, comparison_files(comparison))
    page = render_report(tracker.store, record, results, comparison, sweep_run.cache)
    tracker.log_files(sweep_run.run_id, {"report.html": page})
    tracker.tag(sweep_run.run_id, comparison_tags(comparison))
    for result in results:
        note = _note_against_baseline(reader.note(result.run_id), result, comparison)
        if note:
            tracker.tag(result.run_id, {names.NOTE: note})
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


def comparison_files(comparison: Comparison) -> dict[str, str | bytes]:
    """The comparison as artifacts of the parent run."""
    return {
        names.COMPARISON_FILE: render.to_json(comparison),
        "comparison.md": render.to_markdown(comparison),
        "comparison.txt": render.to_text(comparison),
        "leaderboard.csv": render.to_csv(comparison),
        "tables/leaderboard.json": leaderboard(comparison).to_json(orient="split", index=False),
    }


def comparison_tags(comparison: Comparison) -> dict[str, str]:
    """The verdict as tags of the parent run."""
    return {
        names.NOTE: render.to_markdown(comparison),
        names.VERDICT: comparison.verdict.headline,
        names.CHOSEN_VARIANT: comparison.verdict.chosen or "",
    }


@contextmanager
def ending(sweep_run: SweepRun) -> Iterator[SweepRun]:
    """End the parent run as KILLED or FAILED if the block raises."""
    try:
        yield sweep_run
    except BaseException as error:
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        reason = redacted(f"{type(error).__name__}: {error}").removesuffix(": ")
        _tracker(sweep_run).end(sweep_run.run_id, status, reason)
        raise


def trainer_pool(decision: Decision) -> AbstractContextManager[TrainerPool]:
    """The trainers that were decided on, warm ones if there are."""
    crew = decision.crew
    return trainers(crew.workers, crew.threads, decision.home.state / "logs")


def announce(sweep_run: SweepRun) -> None:
    """Emit which trials will be trained, and how many at a time."""
    decision = sweep_run.decision
    expected = {
        name: seconds
        for name, seconds in decision.expected_seconds.items()
        if name not in decision.reusable
    }
    events.emit(events.SweepStarted(sweep_run.sweep_id, expected, decision.crew.workers))


def _note_against_baseline(note: str, result: TrialResult, comparison: Comparison) -> str:
    baseline = comparison.sweep.baseline
    accuracies = {row.label: row.test_accuracy for row in comparison.rows}
    base, own = accuracies.get(baseline or ""), result.metric(metric_names.TEST_ACCURACY)
    if not note or base is None or own is None or result.label == baseline:
        return ""
    points = signed(own - base)
    return f"{note}\n{names.AGAINST_BASELINE} {baseline}: {points} points of test accuracy.\n"


def _tracker(sweep_run: SweepRun) -> Tracker:
    from cnn_pipeline.tracking.writer import Tracker

    return Tracker(Store(sweep_run.store_uri, sweep_run.artifacts_uri))


def _reader(sweep_run: SweepRun) -> Reader:
    from cnn_pipeline.tracking.reader import Reader

    return Reader(Store(sweep_run.store_uri, sweep_run.artifacts_uri))
