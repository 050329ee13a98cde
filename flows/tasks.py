"""Tasks that several flows share: fetch the data, train the variants, compare them.

They make the steps of `cnn_pipeline.experiment.steps` visible in Prefect. Nothing here imports
TensorFlow: trainers do.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

from prefect import State, get_run_logger, task
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, wait
from prefect.runtime import flow_run
from prefect.states import Cancelled
from prefect.task_runners import ThreadPoolTaskRunner

from cnn_pipeline.base import links, metric_names
from cnn_pipeline.base.errors import DataError, Stopped
from cnn_pipeline.base.home import cache_dir
from cnn_pipeline.comparison import render
from cnn_pipeline.comparison.picture import small_svgs
from cnn_pipeline.experiment.data_card import DataCard, prepare_data
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.steps import finish, prepare_finish
from cnn_pipeline.experiment.sweep_run import SweepRun
from cnn_pipeline.experiment.trials import reuse_trial, run_trial
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.trial import DataSettings, Trial
from cnn_pipeline.tracking import names
from cnn_pipeline.trainers.protocol import Gate, Trainers
from flows.cancelling import cancellable, in_words
from flows.server import server_answers, shown

_INTERRUPTED = "the sweep was stopped by Ctrl-C"


class TrialFailed(Exception):
    """A trial did not finish; the sweep goes on without it."""

    def __init__(self, result: TrialResult) -> None:
        super().__init__(f"{result.name}: {result.reason}")
        self.result = result


@cancellable
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
def train_variant(
    sweep_run: SweepRun, trial: Trial, pool: Trainers
) -> TrialResult | State[TrialResult]:
    """Train, evaluate and log one variant with one seed: one task run is one MLflow run."""
    if pool.stopped:
        return Cancelled(message=f"not started: {pool.stopped}")
    result = run_trial(sweep_run, trial, pool, prefect_tags())
    logger = get_run_logger()
    if not result.run_id:
        return Cancelled(message=f"not started: {result.reason}")
    logger.info("MLflow run %s", links.run_page(sweep_run.experiment_id, result.run_id))
    if result.status == "KILLED":
        return Cancelled(message=result.reason)
    if not result.finished:
        raise TrialFailed(result)
    if result.reused_from:
        logger.info("another sweep trained it: reused from run %s", result.reused_from)
    logger.info(
        "validation %.4f, test %.4f",
        result.metrics[metric_names.VAL_ACCURACY_FINAL],
        result.metrics[metric_names.TEST_ACCURACY],
    )
    return result


@cancellable
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


def log_notes(notes: Sequence[str]) -> None:
    """Log what was changed in the settings to fit the data."""
    for note in notes:
        get_run_logger().info("settings: %s", note)


class _Threads(ThreadPoolTaskRunner[Any]):
    """A thread for each trainer, also for those that come later."""

    def __init__(self, pool: Trainers) -> None:
        super().__init__(max_workers=pool.count)
        self._gate = Gate(pool)

    def _register_worker_thread(self) -> None:  # not public; the start of each thread
        super()._register_worker_thread()
        self._gate.enter()

    def __exit__(self, *exception: Any) -> None:
        self._gate.open()
        super().__exit__(*exception)


def train_all(
    pool_of: Callable[[], Trainers], sweep_run: SweepRun, trials: Sequence[Trial]
) -> Generator[TrialResult]:
    """Train trials, as many at a time as there are trainers; yields results as `TrainTrials` says.

    If one fails, the others go on.
    """
    pool = pool_of()
    futures: list[PrefectFuture[Any]] = []
    with _Threads(pool) as runner, _closed_on_error(pool, futures), in_words():
        for trial in trials:
            given = {"sweep_run": sweep_run, "trial": trial, "pool": pool}
            futures.append(runner.submit(train_variant, parameters=given))
        progress = _show_progress(None, 0, len(futures))
        prepare_finish()  # trainers still import TensorFlow, and a core is idle
        for ended, future in enumerate(futures, start=1):
            future.wait()
            # Not of every one of thousands: each time takes as long as all else of a trial.
            if 100 * ended // len(futures) > 100 * (ended - 1) // len(futures):
                progress = _show_progress(progress, ended, len(futures))
            outcome = future.result(raise_on_failure=False)
            if isinstance(outcome, TrialFailed):
                outcome = outcome.result
            if isinstance(outcome, TrialResult):
                yield outcome
            elif not future.state.is_cancelled():
                raise outcome  # a sweep without this trial would look complete


def _show_progress(known: UUID | None, ended: int, count: int) -> UUID | None:
    """Create or update the bar on the flow run's page; None if the server is away."""
    share, said = 100 * ended / count, f"{ended} of {count} trials have ended"
    if known is None:
        # It returns a coroutine only where the caller is one.
        return shown(lambda: cast(UUID, create_progress_artifact(share, "progress", said)))
    shown(lambda: update_progress_artifact(known, share, description=said))
    return known


@contextmanager
def _closed_on_error(pool: Trainers, futures: Sequence[PrefectFuture[Any]]) -> Iterator[None]:
    """Close the pool first if the flow is interrupted, or its threads would wait for trainers.

    If it was cancelled or concluded, wait until Prefect shows every trial as cancelled, also those
    not started.
    """
    try:
        yield
    except (Stopped, KeyboardInterrupt) as stopped:
        pool.close(str(stopped) or _INTERRUPTED)
        wait(list(futures))
        raise
    except BaseException:
        pool.close()
        raise


@cancellable
@task(name="compare variants", cache_policy=NO_CACHE)
def compare_variants(sweep_run: SweepRun) -> Outcome:
    """Write leaderboard and verdict to the parent run in MLflow."""
    return finish(sweep_run)


def show(outcome: Outcome) -> None:
    """Show answer, details and links on the flow run's page.

    Called by the flow and not by a task, whose artifacts would be far down on that page.
    """
    if server_answers():
        shown(lambda: _show(outcome))


def _show(outcome: Outcome) -> None:
    headline = outcome.comparison.verdict.headline
    page = links.run_page(outcome.experiment_id, outcome.parent_run_id)
    create_link_artifact(
        key="mlflow",
        link=page,
        link_text=f"{outcome.sweep_id} in MLflow",
        description=f"[{outcome.sweep_id} in MLflow]({page})",
    )
    # Prefect's Markdown cannot fold, so the details are an artifact of their own.
    first, details = render.markdown_parts(outcome.comparison, top=_picture(outcome))
    create_markdown_artifact(key="details", markdown=details, description="What is behind it")
    create_markdown_artifact(key="verdict", markdown=first, description=headline)


def _picture(outcome: Outcome) -> str:
    """The picture as part of the text: Prefect's UI may not reach MLflow's.

    The sentence is above it, as the artifact's description.
    """
    sources = (base64.b64encode(svg.encode()).decode() for svg in small_svgs(outcome.comparison))
    return "\n\n".join(
        f"![intervals and costs](data:image/svg+xml;base64,{source})" for source in sources
    )


def prefect_tags() -> dict[str, str]:
    """Tags that link runs in MLflow to this flow run."""
    page = links.to_open(str(flow_run.ui_url or ""))
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
