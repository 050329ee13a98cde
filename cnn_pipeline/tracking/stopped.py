"""Sweeps that were stopped and go on: how they are found, and their time without the pauses."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from cnn_pipeline.base import metric_names
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.overview import trial_runs
from cnn_pipeline.tracking.reader import trial_result
from cnn_pipeline.tracking.store import Store


@dataclass(frozen=True)
class StoppedSweep:
    """A sweep that ended before it was compared."""

    sweep_id: str
    run_id: str
    worked_until: float
    """When it last recorded something, in seconds since 1970."""
    complete: Mapping[str, TrialResult]
    """Its trials that have everything, by name."""
    given_up: tuple[str, ...]
    """Run ids of those whose trainer went on after the sweep had ended them."""
    begun: Mapping[str, str]
    """Run ids of its other trials, by name."""


def find_stopped(store: Store, experiment_id: str, content_key: str) -> StoppedSweep | None:
    """The newest sweep of identical content that has ended, if it was stopped."""
    client = MlflowClient(store.uri)
    condition = f"tags.{names.KIND} = '{names.SWEEP_KIND}'"
    found = client.search_runs(
        [experiment_id],
        filter_string=f"{condition} and tags.{names.CONTENT_KEY} = '{content_key}'"
        " and attributes.status != 'RUNNING'",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    if not found or not _was_stopped(found[0]):
        return None
    sweep = found[0]
    sweep_id = sweep.data.tags[names.SWEEP_ID]
    runs = {run.data.tags[names.TRIAL]: run for run in trial_runs(client, experiment_id, sweep_id)}
    complete = {
        name: replace(trial_result(run), status="FINISHED", reason="")
        for name, run in runs.items()
        if run.data.tags.get(names.COMPLETE) == "true"
    }
    return StoppedSweep(
        sweep_id=sweep_id,
        run_id=sweep.info.run_id,
        worked_until=max([began(sweep), *(worked_until(client, run) for run in runs.values())]),
        complete=MappingProxyType(complete),
        given_up=tuple(
            runs[name].info.run_id for name in complete if runs[name].info.status != "FINISHED"
        ),
        begun=MappingProxyType(
            {name: run.info.run_id for name, run in runs.items() if name not in complete}
        ),
    )


def is_stopped(store: Store, run_id: str) -> bool:
    """Whether the sweep of this run still waits for somebody to go on with it."""
    return _was_stopped(MlflowClient(store.uri).get_run(run_id))


def _was_stopped(sweep: Run) -> bool:
    """Not so if trials failed: their sweep was compared."""
    status = sweep.info.status
    return status == "KILLED" or (status == "FAILED" and names.VERDICT not in sweep.data.tags)


def began(run: Run) -> float:
    """When the run would have begun if it had never paused, in seconds since 1970."""
    return last_start(run) - float(run.data.tags.get(names.WORKED_SECONDS, 0))


def last_start(run: Run) -> float:
    """When the run began, or last went on, in seconds since 1970."""
    text = run.data.tags.get(names.CONTINUED_AT)
    if text is None:
        return float(run.info.start_time) / 1000
    return datetime.datetime.fromisoformat(text).timestamp()


def worked_until(client: MlflowClient, run: Run) -> float:
    """When a trial last recorded something. Who ended its run may have come much later."""
    if run.info.status == "FINISHED":
        return float(run.info.end_time) / 1000
    if metric_names.LOSS not in run.data.metrics:
        return last_start(run)
    points = client.get_metric_history(run.info.run_id, metric_names.LOSS)
    return max(last_start(run), *(float(point.timestamp) / 1000 for point in points))


def continued(run: Run, until: float, now: float) -> dict[str, str]:
    """Tags of a run that goes on `now` and had worked `until` then, in seconds since 1970."""
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return {
        names.CONTINUED_AT: moment.isoformat(timespec="milliseconds"),
        names.WORKED_SECONDS: f"{max(0.0, until - began(run)):.0f}",
    }
