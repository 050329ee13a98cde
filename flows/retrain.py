"""The weekly flow: retrain if something changed, and promote what is better.

`retrain_if_changed` shows the order of the steps; `cnn_pipeline.champion.retraining` has the steps.
Nothing here imports TensorFlow: trainers do, and they only start if there is something to train.
"""

from __future__ import annotations

import datetime
import functools
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

from cnn_pipeline.base import events, links
from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.home import Home, resolve_home
from cnn_pipeline.champion.retraining import admission as guard
from cnn_pipeline.champion.retraining import steps, text
from cnn_pipeline.champion.retraining.outcome import (
    Assessment,
    Choice,
    Ending,
    Judgement,
    RetrainOutcome,
)
from cnn_pipeline.champion.retraining.settings import NotifySettings, RetrainSettings
from cnn_pipeline.experiment.data_card import DataCard
from cnn_pipeline.experiment.decide import Decision, crew_of, decide
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.run_rounds import run_rounds
from cnn_pipeline.experiment.steps import running, trainer_pool
from cnn_pipeline.services.notifying import check_blocks
from cnn_pipeline.settings.engine import Engine
from cnn_pipeline.settings.resuming import Resuming
from cnn_pipeline.settings.trial import FilterCount, Pooling, Seed
from cnn_pipeline.trainers.protocol import Trainers
from flows.cancelling import cancellable, in_words, until_cancelled
from flows.notify import notify_end, tell, watch_schedule
from flows.parameters import (
    Epochs,
    Json,
    SweepChoice,
    Workers,
    engine_from,
    resuming_from,
    retrain_settings_from,
    run_name,
    sweep_from,
)
from flows.server import server_answers, shown
from flows.tasks import (
    compare_variants,
    fetch_data,
    log_notes,
    prefect_tags,
    reuse_variant,
    show,
    train_all,
)
from flows.worker import missing_server, training_turn


@flow(
    name="retrain",
    flow_run_name=run_name,
    log_prints=False,
    on_failure=[notify_end],
    on_crashed=[notify_end],
)
def retrain(
    sweep: SweepChoice = "retrain",
    filters: tuple[FilterCount, ...] = (),
    pooling: tuple[Pooling, ...] = (),
    seeds: tuple[Seed, ...] = (),
    epochs: Epochs = 0,
    data: str = "",
    force: bool = False,
    notify: NotifySettings = NotifySettings(),  # noqa: B008 - frozen
    workers: Workers = 0,
    advanced: Json = {},  # noqa: B006 - Prefect copies it
    home: str = "",
) -> State[Any]:
    """Train candidates if something changed, and promote the best if it passes the gate.

    Args:
        sweep: the candidates; the fields below change it.
        filters: filter counts to try; empty: as in the sweep.
        pooling: kinds of downsampling to try; empty: as in the sweep.
        seeds: each candidate is trained once per seed; empty: as in the sweep, which may add them
            in rounds.
        epochs: passes over the training images; 0: as in the sweep.
        data: name or path of the images; empty: as in the sweep.
        force: train even if nothing changed.
        notify: who is told of how it ended.
        workers: trainer processes at a time; 0: one per core.
        advanced: any other setting, as `{"sweep": {"training": {"batch_size": 64}}, "gate":
            {"margin": 0.002}}`; also `fresh`, `checkpoint_seconds`, and `engine` with its settings.
        home: folder of all state; empty: that of the worker.
    """
    place = resolve_home(home or None, os.environ)
    if fault := missing_server():
        return Failed(message=fault)
    resuming, rest = resuming_from(advanced)
    engine, rest = engine_from(rest)
    of_sweep = rest.pop("sweep", {})
    settings = retrain_settings_from(
        sweep_from(sweep, filters, pooling, seeds, epochs, data, of_sweep),
        notify,
        rest,
    )
    check_blocks(settings.notify.blocks)
    watch_schedule()

    def run() -> State[Any]:
        with admission(settings, place) as admitted:
            if admitted.reason:
                ending: Ending = "missed" if admitted.missed else "skipped"
                outcome = RetrainOutcome(ending, f"{ending}: {admitted.reason}")
            else:
                outcome = retrain_if_changed(settings, place, workers, force, resuming, engine)
        publish(outcome, settings, place)
        show_outcome(outcome)
        return _end_state(outcome)

    state = until_cancelled(run)
    if state.is_cancelled():  # Prefect has no hook for it that runs here
        tell(settings.notify, "stopped", state.message or "")
    return state


def retrain_if_changed(
    settings: RetrainSettings,
    home: Home,
    workers: int,
    force: bool,
    resuming: Resuming,
    engine: Engine,
) -> RetrainOutcome:
    """Train, compare, choose, ask the gate, promote; return early if a step ends it."""
    try:
        data = fetch_data(settings.data)
    except InvalidInput as error:  # for example, a class lacks images
        return steps.refuse_data(settings.data, error)
    known = decide_whether_changed(settings, data, home, force)
    if isinstance(known, RetrainOutcome):
        return known
    fitting, notes = steps.fit_candidates(settings, data)
    log_notes(notes)
    sweep = steps.candidate_sweep(known, fitting, home)
    decision = decide(
        sweep,
        data,
        home,
        crew_of(sweep, workers, engine, home),
        purpose=steps.purpose(known, home),
        resuming=resuming,
    )
    with trainer_pool(decision) as pool:
        trained = train_candidates(decision, pool)
        choice = choose_challenger(known, trained)
        if isinstance(choice, RetrainOutcome):
            return choice
        while isinstance(known, Assessment):
            server_answers()  # is waited for: without it, a shared registry is not changed
            judgement = ask_gate(choice, known, settings, data, pool, home)
            ended = promote(judgement, choice, known, settings, home)
            # Another champion came meanwhile: the challenger must be better than that one.
            known = ended or decide_whether_changed(settings, data, home, force)
        return known


@contextmanager
def admission(settings: RetrainSettings, home: Home) -> Iterator[guard.Admission]:
    """Whether this run may start. If it may, the block holds the lock of retrainings.

    A worker's run first waits for its turn, and then finds out whether anything changed.
    """
    now = datetime.datetime.now(datetime.UTC)
    fresh = guard.check_slot(_slot(now), now, settings.stale_after_minutes)
    if fresh.reason:
        yield fresh
        return
    with training_turn(home, "retraining"), guard.only_one(home) as alone:
        yield alone


@cancellable
@task(name="decide whether anything changed", cache_policy=NO_CACHE)
def decide_whether_changed(
    settings: RetrainSettings, data: DataCard, home: Home, force: bool
) -> Assessment | RetrainOutcome:
    """Compare data, settings, code and libraries with the last decision."""
    return steps.assess(settings, data, home, force=force)


def train_candidates(decision: Decision, pool: Trainers) -> Outcome:
    """Train and compare, as `train-variants` does, unless a retraining that was stopped did it."""
    if (outcome := decision.unchanged) is not None:
        events.emit(events.Stage(f"goes on with {outcome.sweep_id}: all candidates are trained"))
        show(outcome)
        return outcome
    with running(decision, prefect_tags()) as sweep_run, in_words():
        # Ctrl-C stops a retraining: no model is promoted by half of an answer.
        train = functools.partial(train_all, lambda: pool)
        run_rounds(sweep_run, reuse_variant, train, conclude=False)
        outcome = compare_variants(sweep_run)
        show(outcome)
        return outcome


@cancellable
@task(name="choose", cache_policy=NO_CACHE)
def choose_challenger(known: Assessment, trained: Outcome) -> Choice | RetrainOutcome:
    """Choose the best candidate on validation."""
    return steps.choose(known, trained)


@cancellable
@task(name="gate", cache_policy=NO_CACHE)
def ask_gate(
    choice: Choice,
    known: Assessment,
    settings: RetrainSettings,
    data: DataCard,
    pool: Trainers,
    home: Home,
) -> Judgement:
    """Register the challenger, load it back, and score it and the champion."""
    challenger = steps.register_challenger(choice, home)
    return steps.examine(challenger, known, settings, data, pool, home)


@cancellable
@task(name="promote", cache_policy=NO_CACHE)
def promote(
    judgement: Judgement, choice: Choice, known: Assessment, settings: RetrainSettings, home: Home
) -> RetrainOutcome | None:
    """Promote or refuse the challenger, and record it; None if the champion is another one now."""
    return steps.decide(judgement, choice, known, settings, home, prefect_tags())


@cancellable
@task(name="report", cache_policy=NO_CACHE)
def publish(outcome: RetrainOutcome, settings: RetrainSettings, home: Home) -> None:
    """Write note and HTML, and notify people of what ended as it should."""
    steps.publish(outcome, home)
    if outcome.ok:  # of what is not, the flow's hook tells
        tell(settings.notify, outcome.ending, outcome.message)


def show_outcome(outcome: RetrainOutcome) -> None:
    """Show decision, rules and links on the flow run's page."""
    if server_answers():
        shown(lambda: _show_outcome(outcome))


def _show_outcome(outcome: RetrainOutcome) -> None:
    if outcome.challenger_run_id:
        page = links.run_page(outcome.experiment_id, outcome.challenger_run_id)
        name = f"version {outcome.challenger} in MLflow"
        create_link_artifact(
            key="challenger", link=page, link_text=name, description=f"[{name}]({page})"
        )
    if outcome.gate is not None or outcome.drift is not None:
        create_table_artifact(key="gate", table=text.rows(outcome), description=outcome.message)
    create_markdown_artifact(
        key="retraining", markdown=text.to_markdown(outcome), description=outcome.message
    )


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
