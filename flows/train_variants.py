"""Train every variant and seed of a sweep, and say which won: what `cnn-pipeline run` starts.

The flow decides the order of the steps and shows what came out; what a step does is
`cnn_pipeline.experiment.steps`'s business. Nothing here imports TensorFlow: trainers do.
"""

from __future__ import annotations

import os
from typing import Any

from prefect import State, flow
from prefect.states import Completed, Failed

from cnn_pipeline.base.home import resolve_home
from cnn_pipeline.experiment import steps as sweep_steps
from cnn_pipeline.experiment.decide import find_reusable, find_unchanged
from cnn_pipeline.experiment.preflight import check_fit
from cnn_pipeline.experiment.sweep_run import Outcome
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.named import filters_and_pooling
from cnn_pipeline.settings.sweep import Sweep
from flows.tasks import Workers, compare_variants, fetch_data, prefect_tags, train_all


@flow(name="train-variants", flow_run_name="{sweep.name}", log_prints=False)
def train_variants(
    sweep: Sweep = filters_and_pooling(),  # noqa: B008 - frozen, and Prefect's form shows it
    workers: Workers = 0,
    force: bool = False,
    home: str | None = None,
) -> State[Any]:
    """Fetch the data, train each variant and seed, compare them, and publish the verdict.

    What has been trained before, with the same data, settings, code and libraries, is verified
    and reused.

    Args:
        sweep: the variants, seeds, training settings and data.
        workers: trainer processes at a time; 0 is one per core, at most one per trial.
        force: train also what could be reused.
        home: folder that holds all state; by default CNN_PIPELINE_HOME or the project's root.
    """
    place = resolve_home(home, os.environ)
    with sweep_steps.trainer_pool(sweep, place, workers) as pool:
        card = fetch_data(sweep.data)
        plans = check_fit(sweep, card.shape)
        reusable: dict[str, TrialResult] = {}
        if not force:
            unchanged = find_unchanged(sweep, card, place, pool.threads)
            if unchanged is not None:
                return _end_state(unchanged)
            reusable = find_reusable(sweep, card, place, pool.threads)
        with sweep_steps.ending(sweep_steps.begin(sweep, card, place, prefect_tags())) as sweep_run:
            sweep_steps.announce(sweep_run, plans, pool.count, reusable)
            train_all(sweep_run, pool, reusable)
            outcome = compare_variants(sweep_run)
    return _end_state(outcome)


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
