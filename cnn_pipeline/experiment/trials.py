"""Run one trial of a sweep: train it, wait for whoever trains it, or copy what is stored.

Each trial is claimed while it runs, so that two sweeps of one home do not train it at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from cnn_pipeline.base import events
from cnn_pipeline.base.errors import in_words
from cnn_pipeline.base.holding import try_hold
from cnn_pipeline.base.identity import this_process
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.base.stops import let_go
from cnn_pipeline.experiment.decide import CHECKPOINTS
from cnn_pipeline.experiment.sweep_run import SweepRun
from cnn_pipeline.network.checkpoint import forget
from cnn_pipeline.network.results import Status, TrialResult
from cnn_pipeline.settings.trial import Trial
from cnn_pipeline.tracking import names
from cnn_pipeline.trainers.messages import Job
from cnn_pipeline.trainers.protocol import Trainers

if TYPE_CHECKING:
    from cnn_pipeline.tracking.writer import Tracker

CLAIMS = "claims"
"""Folder of the claims in the home's state: one per content key, and per sweep that goes on."""
_POLL_SECONDS = 0.5
_NO_TAGS: Mapping[str, str] = MappingProxyType({})


def run_trial(
    sweep_run: SweepRun, trial: Trial, pool: Trainers, tags: Mapping[str, str] = _NO_TAGS
) -> TrialResult:
    """Train one trial on a trainer. Its MLflow run ends whatever happens.

    If another sweep trains it, wait, and copy the result. If that sweep stops, train it here.
    """
    with _claimed(sweep_run, trial, pool) as claimed:
        if not claimed:
            return _result(sweep_run, trial, "", "KILLED", pool.stopped)
        found = _trained_meanwhile(sweep_run, trial)
        if found is not None:
            return _copy(sweep_run, trial, found, tags)
        return _train(sweep_run, trial, pool, tags)


def reuse_trial(
    sweep_run: SweepRun, trial: Trial, tags: Mapping[str, str] = _NO_TAGS
) -> TrialResult:
    """Copy the stored run of a reusable trial into this sweep, with the same logged model."""
    return _copy(sweep_run, trial, sweep_run.decision.reusable[trial.name], tags)


def start_trial(
    tracker: Tracker, sweep_run: SweepRun, trial: Trial, tags: Mapping[str, str]
) -> str:
    """Start the MLflow run of a trial, or go on in the one that was stopped. Returns its id."""
    decision = sweep_run.decision
    tags = {
        **sweep_run.tags,
        **tags,
        names.COLOR: decision.colors[trial.label],
        names.CONTENT_KEY: decision.content_keys[trial.name],
    }
    begun = decision.stopped.begun.get(trial.name) if decision.stopped else None
    if begun is not None:
        tracker.reopen(begun, tags)
        return begun
    return tracker.start_trial(
        sweep_run.experiment_id, sweep_run.run_id, sweep_run.sweep_id, trial, tags
    )


def job_of(sweep_run: SweepRun, trial: Trial, run_id: str) -> Job:
    """The message that has a trainer run a trial whose MLflow run has started."""
    decision = sweep_run.decision
    return Job(
        trial=trial,
        data=decision.sweep.data,
        data_digest=decision.card.digest,
        cache=str(sweep_run.cache),
        store_uri=sweep_run.store_uri,
        artifacts_uri=sweep_run.artifacts_uri,
        run_id=run_id,
        parent_run_id=sweep_run.run_id,
        checkpoints=str(_checkpoints(sweep_run, trial)),
        place=_place(sweep_run, trial),
        checkpoint_seconds=decision.resuming.checkpoint_seconds,
        process=this_process(),
    )


def end_after(
    error: BaseException, tracker: Tracker, run_id: str, status: str, before: str = ""
) -> None:
    """End a run because of an error, which stays the one that is raised.

    If the store does not take it, the error gets a note; a later command ends the run.
    """
    try:
        tracker.end(run_id, status, before + redacted(in_words(error)))
    except Exception as refused:  # each kind of store has its own
        error.add_note(f"run {run_id} could not be ended: {redacted(in_words(refused))}")


def _train(
    sweep_run: SweepRun, trial: Trial, pool: Trainers, tags: Mapping[str, str]
) -> TrialResult:
    decision, tracker = sweep_run.decision, sweep_run.tracker()
    if decision.force or decision.resuming.fresh:
        forget(_checkpoints(sweep_run, trial), _place(sweep_run, trial))
    started = time.perf_counter()
    run_id = start_trial(tracker, sweep_run, trial, tags)
    try:
        reply = pool.run(job_of(sweep_run, trial, run_id))
    except BaseException as error:
        let_go(error)
        end_after(error, tracker, run_id, "KILLED", "the sweep was stopped: ")
        raise
    status = tracker.end(run_id, reply.status, reply.reason)
    seconds = time.perf_counter() - started
    if status == reply.status:
        result = _result(sweep_run, trial, run_id, status, reply.reason, reply.metrics)
    else:  # its trainer was killed after the last record
        result = sweep_run.reader().result(run_id)
    events.emit(
        events.TrialEnded(trial.name, result.status, seconds, result.reason, dict(result.metrics))
    )
    return result


def _copy(
    sweep_run: SweepRun, trial: Trial, source: TrialResult, tags: Mapping[str, str]
) -> TrialResult:
    tracker = sweep_run.tracker()
    run_id = start_trial(tracker, sweep_run, trial, tags)
    try:
        tracker.copy_trial(source.run_id, run_id)
    except BaseException as error:
        let_go(error)
        end_after(error, tracker, run_id, "KILLED", "the sweep was stopped: ")
        raise
    tracker.end(run_id, "FINISHED")
    first = source.reused_from or source.run_id
    events.emit(events.TrialReused(trial.name, first, dict(source.metrics)))
    return _result(sweep_run, trial, run_id, "FINISHED", "", source.metrics, first)


def _result(
    sweep_run: SweepRun,
    trial: Trial,
    run_id: str,
    status: Status,
    reason: str,
    metrics: Mapping[str, float] = MappingProxyType({}),
    reused_from: str = "",
) -> TrialResult:
    return TrialResult(
        name=trial.name,
        label=trial.label,
        seed=trial.seed,
        run_id=run_id,
        status=status,
        reason=reason,
        reused_from=reused_from,
        content_key=sweep_run.decision.content_keys[trial.name],
        metrics=dict(metrics),
    )


@contextmanager
def _claimed(sweep_run: SweepRun, trial: Trial, pool: Trainers) -> Iterator[bool]:
    """Claim a trial for the block, and wait while another sweep has it.

    Yields whether it is claimed. It is not if the pool was closed first.
    """
    decision, told = sweep_run.decision, ""
    claims, key = decision.home.state / CLAIMS, decision.content_keys[trial.name]
    while not pool.stopped:
        with try_hold(claims, key, sweep_run.sweep_id) as holder:
            if holder is None:
                yield True
                return
        if holder != told:
            told = holder
            events.emit(events.TrialAwaited(trial.name, holder))
        time.sleep(_POLL_SECONDS)
    yield False


def _trained_meanwhile(sweep_run: SweepRun, trial: Trial) -> TrialResult | None:
    """The result of an equal trial that has finished since it was decided to train it."""
    from cnn_pipeline.experiment.reuse import finished_meanwhile

    decision = sweep_run.decision
    if not decision.reuses:
        return None
    key = decision.content_keys[trial.name]
    return finished_meanwhile(sweep_run.store, sweep_run.experiment_id, key)


def _checkpoints(sweep_run: SweepRun, trial: Trial) -> Path:
    """Folder of a trial's checkpoints: equal trials share it."""
    decision = sweep_run.decision
    return decision.home.state / CHECKPOINTS / decision.content_keys[trial.name]


def _place(sweep_run: SweepRun, trial: Trial) -> str:
    """Address of what the nodes of a cluster share of them; empty without one."""
    decision = sweep_run.decision
    cluster = decision.crew.cluster
    shared = cluster.engine.checkpoints if cluster else None
    return f"{shared}/{decision.content_keys[trial.name]}" if shared else ""
