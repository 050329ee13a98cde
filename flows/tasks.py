"""Tasks that several flows share: fetch the data, train the variants, compare them.

They make the steps of `cnn_pipeline.experiment.steps` visible in Prefect. Nothing here imports
TensorFlow: trainers do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, cast
from uuid import UUID

from prefect import State, get_run_logger, task
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from cnn_pipeline.base import links, metric_names
from cnn_pipeline.base.errors import DataError
from cnn_pipeline.base.home import cache_dir
from cnn_pipeline.comparison import render
from cnn_pipeline.experiment.data_card import DataCard, prepare_data
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.steps import finish, prepare_finish, reuse_trial, run_trial
from cnn_pipeline.experiment.sweep_run import SweepRun
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.trial import DataSettings, Trial
from cnn_pipeline.tracking import names
from cnn_pipeline.trainers.pool import TrainerPool

Workers = Annotated[
    int,
    Field(
        ge=0,
        le=64,
        description="Trainer processes at a time; 0: one per core, at most one per trial.",
    ),
]


class TrialFailed(Exception):
    """A trial did not finish; the sweep goes on without it."""

    def __init__(self, result: TrialResult) -> None:
        super().__init__(f"{result.name}: {result.reason}")


@task(
    name="fetch data",
    task_run_name="fetch {settings.source}",
    cache_policy=NO_CACHE,
    # The only step that uses the network, so the only one with a retry.
    retries=1,
    retry_delay_seconds=5,
    retry_condition_fn=lambda _task, _run, state: _is_data_error(state),
)
def fetch_data(settings: DataSettings, known: DataCard | None = None) -> DataCard:
    """Fetch and verify the images, and log which source served them.

    `known` is the card of images that were fetched before the flow started.
    """
    card = known or prepare_data(settings, cache_dir(os.environ))
    get_run_logger().info(
        "%s: %d training, %d validation, %d test images from %s",
        card.name, card.num_train, card.num_validation, card.num_test, card.source,
    )  # fmt: skip
    return card


@task(name="train", task_run_name="train {trial.name}", cache_policy=NO_CACHE)
def train_variant(sweep_run: SweepRun, trial: Trial, pool: TrainerPool) -> TrialResult:
    """Train, evaluate and log one variant with one seed: one task run is one MLflow run."""
    result = run_trial(sweep_run, trial, pool, prefect_tags())
    logger = get_run_logger()
    logger.info("MLflow run %s", links.run_page(sweep_run.experiment_id, result.run_id))
    if not result.finished:
        raise TrialFailed(result)
    logger.info(
        "validation %.4f, test %.4f",
        result.metrics[metric_names.VAL_ACCURACY_FINAL],
        result.metrics[metric_names.TEST_ACCURACY],
    )
    return result


@task(name="reuse", task_run_name="reuse {trial.name}", cache_policy=NO_CACHE)
def reuse_variant(sweep_run: SweepRun, trial: Trial) -> TrialResult:
    """Copy the stored run of a trial whose inputs are identical: nothing is trained."""
    result = reuse_trial(sweep_run, trial, prefect_tags())
    get_run_logger().info(
        "reused from run %s: same data, settings, code and libraries; "
        "its model and predictions were verified",
        result.reused_from,
    )
    return result


def reuse_all(sweep_run: SweepRun) -> None:
    """Copy the stored run of every reusable trial."""
    for trial in sweep_run.decision.reused:
        reuse_variant(sweep_run, trial)


def train_all(sweep_run: SweepRun, pool: TrainerPool) -> None:
    """Train all other trials, as many at a time as there are trainers.

    If one fails, the others go on.
    """
    runner: ThreadPoolTaskRunner[TrialResult] = ThreadPoolTaskRunner(max_workers=pool.count)
    with runner, _closed_on_error(pool):
        futures = [
            runner.submit(
                train_variant, parameters={"sweep_run": sweep_run, "trial": trial, "pool": pool}
            )
            for trial in sweep_run.decision.remaining
        ]
        shown = cast(  # a coroutine only where the caller is one
            UUID, create_progress_artifact(0.0, "progress", _told(0, len(futures)))
        )
        prepare_finish()  # trainers still import TensorFlow, and a core is idle
        for ended, future in enumerate(futures, start=1):
            future.wait()
            update_progress_artifact(
                shown, 100 * ended / len(futures), description=_told(ended, len(futures))
            )


def _told(ended: int, count: int) -> str:
    return f"{ended} of {count} trials have ended"


@contextmanager
def _closed_on_error(pool: TrainerPool) -> Iterator[None]:
    """Close the pool first if the flow is interrupted, or its threads would wait for trainers."""
    try:
        yield
    except BaseException:
        pool.close()
        raise


@task(name="compare variants", cache_policy=NO_CACHE)
def compare_variants(sweep_run: SweepRun) -> Outcome:
    """Write leaderboard and verdict to the parent run in MLflow and to this flow run."""
    outcome = finish(sweep_run)
    page = links.run_page(outcome.experiment_id, outcome.parent_run_id)
    create_table_artifact(
        key="leaderboard",
        table=[
            dict(
                zip(
                    render.LEADERBOARD_HEADER,
                    map(_cell, render.leaderboard_cells(row)),
                    strict=True,
                )
            )
            for row in outcome.comparison.rows
        ],
        description=outcome.comparison.verdict.headline,
    )
    create_markdown_artifact(
        key="verdict",
        markdown=render.to_markdown(outcome.comparison),
        description=outcome.comparison.verdict.headline,
    )
    create_link_artifact(key="mlflow", link=page, link_text=f"{outcome.sweep_id} in MLflow")
    return outcome


def _cell(text: str) -> str:
    """Prefect renders cells as Markdown, where a lone hyphen is a list."""
    return "–" if text == "-" else text


def prefect_tags() -> dict[str, str]:
    """Tags that link runs in MLflow to this flow run."""
    page = str(flow_run.ui_url or "")
    return {
        names.FLOW_RUN_ID: str(flow_run.id or ""),
        # The temporary server of a command has no UI: its address has no host.
        **({names.FLOW_RUN_URL: page} if page.startswith("http") else {}),
    }


def _is_data_error(state: State[Any]) -> bool:
    try:
        state.result()
    except DataError:
        return True
    except Exception:
        return False
    return False
