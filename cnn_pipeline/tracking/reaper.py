"""End the runs whose process is gone. Every command that opens a store does so first.

A process that is killed cannot end its runs, and MLflow would call them RUNNING for ever. Runs of
other hosts, and runs that do not say whose they are, are left alone: `doctor` lists them.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from datetime import UTC, datetime

from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from sqlalchemy import make_url

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.identity import described, is_alive
from cnn_pipeline.tracking import names

_LOGGER = logging.getLogger(__name__)
_RUNNING = "attributes.status = 'RUNNING'"
_MOST = 1000
_LOCK_SECONDS = 1.0


def end_dead(uri: str) -> None:
    """End the runs of a store whose process is gone.

    Whatever the store answers, nothing is raised: who only reads must be able to. A run that could
    not be ended is ended by a later command, and `doctor` names it.
    """
    try:
        client = MlflowClient(uri)
        dead = [run for run in open_runs(client) if is_gone(run)]
        if not dead:
            return
        _require_writable(uri)
        # Trials first: a sweep ends when its last trial did.
        for run in sorted(dead, key=lambda run: run.data.tags[names.KIND], reverse=True):
            settle(client, run, gone_reason(run))
    except Exception as error:  # each kind of store has its own
        _LOGGER.debug("runs whose process is gone could not be ended: %s", error)


def open_runs(client: MlflowClient) -> list[Run]:
    """The runs of sweeps and trials that have not ended, newest first, at most a thousand."""
    experiments = [one.experiment_id for one in client.search_experiments()]
    found = client.search_runs(experiments, _RUNNING, max_results=_MOST) if experiments else []
    kinds = (names.SWEEP_KIND, names.TRIAL_KIND)
    return [run for run in found if run.data.tags.get(names.KIND) in kinds]


def is_gone(run: Run) -> bool:
    """Whether a run has not ended and its process is known to be gone."""
    process = run.data.tags.get(names.PROCESS, "")
    return run.info.status == "RUNNING" and is_alive(process) is False


def gone_reason(run: Run) -> str:
    """'its process is gone (vm, pid 123)'."""
    return f"its process is gone ({described(run.data.tags[names.PROCESS])})"


def settle(client: MlflowClient, run: Run, reason: str) -> str:
    """End a run that nobody writes any more. Returns its status, and keeps one that it has.

    A trial with its last record and a sweep with its verdict are whole: what was missing was only
    the end. Others are KILLED for `reason`.
    """
    run_id, process = run.info.run_id, run.data.tags.get(names.PROCESS)
    now = client.get_run(run_id)
    # Another command may have ended it, or goes on with it, since it was read.
    if now.info.status != "RUNNING" or now.data.tags.get(names.PROCESS) != process:
        return str(now.info.status)
    status, why = _proven(client, now) or ("KILLED", reason)
    if why:
        client.set_tag(run_id, names.REASON, why)
    client.set_terminated(run_id, status, end_time=_last_moment(client, now))
    return status


def last_record(client: MlflowClient, run: Run) -> datetime:
    """When a run or one of its trials last wrote something."""
    return datetime.fromtimestamp(_last_moment(client, run) / 1000, UTC)


def _proven(client: MlflowClient, run: Run) -> tuple[str, str] | None:
    """Status and reason of a run that has its last record; None for another."""
    tags = run.data.tags
    if tags[names.KIND] == names.TRIAL_KIND:
        return ("FINISHED", "") if tags.get(names.COMPLETE) == "true" else None
    if names.VERDICT not in tags:
        return None
    failed = [
        f"{one.data.tags[names.TRIAL]}: {one.data.tags.get(names.REASON, one.info.status)}"
        for one in _trials(client, run)
        if one.info.status != "FINISHED"
    ]
    return ("FAILED", "; ".join(failed)) if failed else ("FINISHED", "")


def _last_moment(client: MlflowClient, run: Run) -> int:
    """Milliseconds since 1970."""
    if run.data.tags[names.KIND] == names.SWEEP_KIND:
        moments = [_last_moment(client, one) for one in _trials(client, run)]
    elif run.info.status == "RUNNING" and metric_names.LOSS in run.data.metrics:
        points = client.get_metric_history(run.info.run_id, metric_names.LOSS)
        moments = [int(point.timestamp) for point in points]
    else:
        moments = [int(run.info.end_time or 0)]
    return max([int(run.info.start_time), *moments])


def _trials(client: MlflowClient, run: Run) -> list[Run]:
    condition = f"tags.{names.PARENT} = '{run.info.run_id}'"
    found = client.search_runs([run.info.experiment_id], condition, max_results=_MOST)
    return list(found)


def _require_writable(uri: str) -> None:
    """Raise at once where SQLite is locked or read-only: MLflow would wait for half a minute."""
    if not uri.startswith("sqlite:"):
        return
    file = make_url(uri).database
    with contextlib.closing(sqlite3.connect(str(file), timeout=_LOCK_SECONDS)) as database:
        database.execute("BEGIN IMMEDIATE")
        database.rollback()
