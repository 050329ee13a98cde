"""The weekly flow: retrain if something changed, and promote what is better.

`retrain_if_changed` shows the order of the steps; `cnn_pipeline.champion.retraining` has the steps.
Nothing here imports TensorFlow: trainers do, and they only start if there is something to train.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect import State, flow, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
)
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed

from cnn_pipeline.base import links
from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.home import Home, resolve_home
from cnn_pipeline.champion.retraining import admission as guard
from cnn_pipeline.champion.retraining import steps, text
from cnn_pipeline.champion.retraining.outcome import Assessment, Choice, Judgement, RetrainOutcome
from cnn_pipeline.champion.retraining.settings import RetrainSettings
from cnn_pipeline.experiment.data_card import DataCard
from cnn_pipeline.experiment.decide import Decision, decide
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.steps import announce, begin, ending, trainer_pool
from cnn_pipeline.trainers.pool import TrainerPool
from cnn_pipeline.trainers.scheduling import crew_for
from flows.notify import notify, notify_failure
from flows.tasks import Workers, compare_variants, fetch_data, prefect_tags, train_all


@flow(
    name="retrain",
    flow_run_name="{settings.sweep.name}",
    log_prints=False,
    on_failure=[notify_failure],
    on_crashed=[notify_failure],
)
def retrain(
    settings: RetrainSettings = RetrainSettings(),  # noqa: B008 - frozen, and Prefect's form shows it
    force: bool = False,
    workers: Workers = 0,
    home: str | None = None,
) -> State[Any]:
    """Train candidates if something changed, and promote the best if it passes the gate.

    Args:
        settings: candidates, data, gate, and whom to notify.
        force: train even if nothing changed.
        workers: trainer processes at a time; 0 is one per core, at most one per trial.
        home: folder that holds all state; by default CNN_PIPELINE_HOME or the project's root.
    """
    place = resolve_home(home, os.environ)
    with admission(settings, place) as admitted:
        if admitted.reason:
            outcome = RetrainOutcome("skipped", f"skipped: {admitted.reason}")
        else:
            outcome = retrain_if_changed(settings, place, workers, force)
    publish(outcome, settings, place)
    return _end_state(outcome)


def retrain_if_changed(
    settings: RetrainSettings, home: Home, workers: int, force: bool
) -> RetrainOutcome:
    """Train, compare, choose, ask the gate, promote; return early if a step ends it."""
    try:
        data = fetch_data(settings.data)
    except InvalidInput as error:  # for example, a class lacks images
        return steps.refuse_data(settings.data, error)
    known = decide_whether_changed(settings, data, home, force)
    if isinstance(known, RetrainOutcome):
        return known
    sweep = steps.candidate_sweep(known, settings, home)
    decision = decide(sweep, data, home, crew_for(sweep, workers), force=True)
    with trainer_pool(decision) as pool:
        trained = train_candidates(decision, pool)
        choice = choose_challenger(known, trained)
        if isinstance(choice, RetrainOutcome):
            return choice
        judgement = ask_gate(choice, known, settings, data, pool, home)
    return promote(judgement, choice, known, settings, home)


@contextmanager
def admission(settings: RetrainSettings, home: Home) -> Iterator[guard.Admission]:
    """Whether this run may start. If it may, the block holds the lock of retrainings."""
    now = datetime.datetime.now(datetime.UTC)
    fresh = guard.check_slot(_slot(now), now, settings.stale_after_minutes)
    if fresh.reason:
        yield fresh
        return
    with guard.only_one(home) as alone:
        yield alone


@task(name="decide whether anything changed", cache_policy=NO_CACHE)
def decide_whether_changed(
    settings: RetrainSettings, data: DataCard, home: Home, force: bool
) -> Assessment | RetrainOutcome:
    """Compare data, settings, code and libraries with the last decision."""
    return steps.assess(settings, data, home, force=force)


def train_candidates(decision: Decision, pool: TrainerPool) -> Outcome:
    """Train and compare, as `train-variants` does."""
    with ending(begin(decision, prefect_tags())) as sweep_run:
        announce(sweep_run)
        train_all(sweep_run, pool)
        return compare_variants(sweep_run)


@task(name="choose", cache_policy=NO_CACHE)
def choose_challenger(known: Assessment, trained: Outcome) -> Choice | RetrainOutcome:
    """Choose the best candidate on validation."""
    return steps.choose(known, trained)


@task(name="gate", cache_policy=NO_CACHE)
def ask_gate(
    choice: Choice,
    known: Assessment,
    settings: RetrainSettings,
    data: DataCard,
    pool: TrainerPool,
    home: Home,
) -> Judgement:
    """Register the challenger, load it back, and score it and the champion."""
    challenger = steps.register_challenger(choice, home)
    return steps.examine(challenger, known, settings, data, pool, home)


@task(name="promote", cache_policy=NO_CACHE)
def promote(
    judgement: Judgement, choice: Choice, known: Assessment, settings: RetrainSettings, home: Home
) -> RetrainOutcome:
    """Promote or refuse the challenger, and record it in the model's history."""
    return steps.decide(judgement, choice, known, settings, home, prefect_tags())


@task(name="report", cache_policy=NO_CACHE)
def publish(outcome: RetrainOutcome, settings: RetrainSettings, home: Home) -> None:
    """Write artifacts, note and HTML, and notify people of a promotion."""
    steps.publish(outcome, home)
    create_markdown_artifact(key="retraining", markdown=text.to_markdown(outcome))
    if outcome.gate is not None or outcome.drift is not None:
        create_table_artifact(key="gate", table=text.rows(outcome), description=outcome.message)
    if outcome.challenger_run_id:
        create_link_artifact(
            key="challenger",
            link=links.run_page(outcome.experiment_id, outcome.challenger_run_id),
            link_text=f"version {outcome.challenger} in MLflow",
        )
    if outcome.ending == "promoted":
        notify(settings.notify, f"retrain: {outcome.ending}", outcome.message)


def _end_state(outcome: RetrainOutcome) -> State[Any]:
    if outcome.ok:
        return Completed(name=outcome.ending.capitalize(), message=outcome.message, data=outcome)
    return Failed(name=outcome.ending.capitalize(), message=outcome.message, data=outcome)


def _slot(now: datetime.datetime) -> guard.Slot:
    """The slot of this run. A run that no schedule started has none, and is never late."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or not run.auto_scheduled or run.deployment_id is None:
        return guard.Slot(None)
    due = run.expected_start_time
    assert due is not None
    later = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[run.deployment_id]),
        expected_start_time=FlowRunFilterExpectedStartTime.model_validate(
            {"after_": due + datetime.timedelta(seconds=1), "before_": now}
        ),
    )
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_run_filter=later, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=50
        )
    newer = [other.expected_start_time for other in runs if other.auto_scheduled]
    return guard.Slot(due, newer[0] if newer else None)
