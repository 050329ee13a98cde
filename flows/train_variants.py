"""The flow that `cnn-pipeline run` starts: train a sweep, and compare its variants.

The flow puts the steps of `cnn_pipeline.experiment.steps` in order and shows the result. Nothing
here imports TensorFlow: trainers do.
"""

from __future__ import annotations

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
from cnn_pipeline.experiment.steps import announce, begin, ending, trainer_pool
from cnn_pipeline.settings.named import filters_and_pooling
from cnn_pipeline.settings.sweep import Sweep
from flows.tasks import Workers, compare_variants, fetch_data, prefect_tags, reuse_all, train_all

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


@flow(name="train-variants", flow_run_name="{sweep.name}", log_prints=False)
def train_variants(
    sweep: Sweep = filters_and_pooling(),  # noqa: B008 - frozen, and Prefect's form shows it
    workers: Workers = 0,
    force: bool = False,
    home: str | None = None,
) -> State[Any]:
    """Fetch the data, train each variant and seed, compare them, and publish the verdict.

    Trials that were trained before with the same data, settings, code and libraries are verified
    and reused.

    Args:
        sweep: the variants, seeds, training settings and data.
        workers: trainer processes at a time; 0 is one per core, at most one per trial.
        force: retrain even if identical runs exist.
        home: folder that holds all state; by default CNN_PIPELINE_HOME or the project's root.
    """
    place = resolve_home(home, os.environ)
    made = _MADE.get()
    if made is not None:
        fetch_data(sweep.data, made.card)
        return _end_state(carry_out(made))
    with deciding(sweep, place, workers=workers, force=force, load=fetch_data) as decide:
        return _end_state(carry_out(decide()))


def carry_out(decision: Decision) -> Outcome:
    """Reuse what can be reused, train the rest, and compare."""
    if decision.unchanged is not None:
        return decision.unchanged
    with ending(begin(decision, prefect_tags())) as sweep_run:
        announce(sweep_run)
        reuse_all(sweep_run)
        if decision.remaining:
            with trainer_pool(decision) as pool:
                train_all(sweep_run, pool)
        return compare_variants(sweep_run)


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
