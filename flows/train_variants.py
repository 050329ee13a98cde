"""The flow that `cnn-pipeline run` starts: train a sweep, and compare its variants.

The flow puts the steps of `cnn_pipeline.experiment.steps` in order and shows the result. Nothing
here imports TensorFlow: trainers do.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from prefect import State, flow
from prefect.states import Completed, Failed

from cnn_pipeline.base.home import resolve_home
from cnn_pipeline.experiment.decide import Decision, deciding
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.run_rounds import run_rounds
from cnn_pipeline.experiment.steps import late_pool, running
from cnn_pipeline.settings.named import DEFAULT
from cnn_pipeline.settings.trial import FilterCount, Pooling, Seed
from flows.cancelling import in_words, until_cancelled
from flows.parameters import (
    Decide,
    Epochs,
    Json,
    SweepChoice,
    Workers,
    engine_from,
    resuming_from,
    run_name,
    sweep_from,
)
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

_MADE: ContextVar[Decision | None] = ContextVar("decision", default=None)


@contextmanager
def decided(decision: Decision) -> Iterator[None]:
    """Hand the flow that is called in the block the decision for its parameters.

    A decision cannot be a parameter: Prefect stores those as JSON and shows them in its form.
    """
    token = _MADE.set(decision)
    try:
        yield
    finally:
        _MADE.reset(token)


@flow(name="train-variants", flow_run_name=run_name, log_prints=False)
def train_variants(
    sweep: SweepChoice = DEFAULT,
    filters: tuple[FilterCount, ...] = (),
    pooling: tuple[Pooling, ...] = (),
    seeds: tuple[Seed, ...] = (),
    decide: Decide = 0.0,
    epochs: Epochs = 0,
    data: str = "",
    force: bool = False,
    workers: Workers = 0,
    advanced: Json = {},  # noqa: B006 - Prefect copies it
    home: str = "",
) -> State[Any]:
    """Fetch the data, train the variants, seed by seed, compare them, and publish the verdict.

    Trials that were trained before with the same data, settings, code and libraries are verified
    and reused. If the same sweep was stopped before, it goes on.

    Args:
        sweep: variants, seeds and settings; the fields below change it.
        filters: filter counts to try; empty: as in the sweep.
        pooling: kinds of downsampling to try; empty: as in the sweep.
        seeds: each variant is trained once per seed; empty: as in the sweep, which may add them in
            rounds.
        decide: points of accuracy that matter: rounds of seeds end when the best variant is known
            within them; 0: as in the sweep.
        epochs: passes over the training images; 0: as in the sweep.
        data: name or path of the images; empty: as in the sweep.
        force: retrain even if identical runs exist.
        workers: trainer processes at a time; 0: one per core.
        advanced: any other setting of the sweep, as `{"training": {"batch_size": 64}}`, or an axis,
            as `{"axes": {"learning_rate": [0.001, 0.003]}}`; also
            `fresh` (start a new sweep even if the same one was stopped), `checkpoint_seconds`, and
            where trainers run: `engine` ('ray'), `ray_address`, `gpu_share`, `retries` and
            `checkpoints`.
        home: folder of all state; empty: that of the worker.
    """
    place = resolve_home(home or None, os.environ)
    if fault := missing_server():
        return Failed(message=fault)
    resuming, rest = resuming_from(advanced)
    engine, rest = engine_from(rest)
    asked = sweep_from(sweep, filters, pooling, seeds, epochs, data, rest, decide)

    def run() -> State[Any]:
        made = _MADE.get()
        with training_turn(place, f"sweep {asked.name}"):
            if made is not None:
                fetch_data(asked.data, made.card)
                return _end_state(carry_out(made))
            with deciding(
                asked,
                place,
                workers=workers,
                force=force,
                load=fetch_data,
                resuming=resuming,
                engine=engine,
            ) as decide:
                return _end_state(carry_out(decide()))

    return until_cancelled(run)


def carry_out(decision: Decision) -> Outcome:
    """Reuse what can be reused, train the rest, round by round, and compare."""
    log_notes(decision.notes)
    if decision.unchanged is not None:
        return decision.unchanged
    with running(decision, prefect_tags()) as sweep_run, in_words():
        with late_pool(decision) as pool:
            train = functools.partial(train_all, pool)
            run_rounds(sweep_run, reuse_variant, train, conclude=True)
        outcome = compare_variants(sweep_run)
        show(outcome)
        return outcome


def _end_state(outcome: Outcome) -> State[Any]:
    headline = outcome.comparison.verdict.headline
    if not outcome.trained:
        return Completed(message=f"unchanged since {outcome.sweep_id}: {headline}", data=outcome)
    if outcome.ok:
        return Completed(message=headline, data=outcome)
    failed = "; ".join(f"{result.name}: {result.reason}" for result in outcome.failed)
    return Failed(
        message=f"{len(outcome.failed)} of {len(outcome.results)} trials failed: {failed}",
        data=outcome,
    )
