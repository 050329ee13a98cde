"""Check of the sweeps and trials that MLflow calls RUNNING, and the way to end one by hand."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.base.identity import described, is_alive
from cnn_pipeline.base.quantities import counted, duration
from cnn_pipeline.services.doctor.finding import Finding, fail, failed, ok, warn
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.reaper import gone_reason, is_gone, last_record, open_runs, settle
from cnn_pipeline.tracking.store import StoreError, open_store, store_exists

# A large network writes a record per epoch.
_QUIET = datetime.timedelta(hours=1)
_BY_HAND = "ended by hand: nothing wrote it any more"


def check_sweeps(home: Home, environ: Mapping[str, str]) -> list[Finding]:
    """Name the runs that have not ended and that no command ends by itself.

    Opening the store ends those whose process is gone, as every command does.
    """
    if not store_exists(home, environ):
        return []
    try:
        client = MlflowClient(open_store(home, environ, create=False).uri)
        running = open_runs(client)
        there = {run.info.run_id for run in running}
        # A trial is ended with its sweep.
        heads = [run for run in running if run.data.tags.get(names.PARENT) not in there]
        found = [finding for run in heads if (finding := _check(client, run)) is not None]
    except (StoreError, MlflowException) as error:
        return [failed("sweeps", error)]
    return found or [ok("sweeps", f"{counted(len(heads), 'run')} active, none is stuck")]


def end_sweep(home: Home, environ: Mapping[str, str], run_id: str) -> str:
    """End a run of MLflow, and the trials below it. Returns what it is now, in a sentence.

    Raises:
        UserError: it is not the run of a sweep or trial, has ended, or its process lives.
        StoreError: the store does not answer.
    """
    client = MlflowClient(open_store(home, environ, create=False).uri)
    try:
        run = client.get_run(run_id)
    except MlflowException:
        raise UserError(f"--end: MLflow has no run {run_id}") from None
    tags = run.data.tags
    if tags.get(names.KIND) not in (names.SWEEP_KIND, names.TRIAL_KIND):
        raise UserError(f"--end: run {run_id} is not that of a sweep or a trial")
    name = run.info.run_name
    if run.info.status != "RUNNING":
        raise UserError(f"--end: {name} has ended already, as {run.info.status}")
    if is_alive(tags.get(names.PROCESS, "")):
        raise UserError(
            f"--end: the process of {name} lives ({described(tags[names.PROCESS])}). "
            "Stop it with Ctrl-C, or cancel its flow run"
        )
    for one in open_runs(client):
        if one.data.tags.get(names.PARENT) == run_id:
            settle(client, one, _BY_HAND)
    return f"{name} is ended as {settle(client, run, _BY_HAND)}"


def _check(client: MlflowClient, run: Run) -> Finding | None:
    tags, name = run.data.tags, run.info.run_name
    process = tags.get(names.PROCESS, "")
    if is_gone(run):
        return fail(
            "sweeps",
            f"{name} has not ended: {gone_reason(run)}, and the store takes no changes",
            "let nothing lock the store and make it writable; then any command ends the run",
        )
    if is_alive(process):
        return None
    quiet = datetime.datetime.now(datetime.UTC) - last_record(client, run)
    if quiet < _QUIET:
        return None
    whose = f"its process is of another machine ({described(process)})" if process else (
        "it does not say whose it is, as in older versions"
    )  # fmt: skip
    return warn(
        "sweeps",
        f"{name} has not ended, {whose}, and its last record is "
        f"{duration(quiet.total_seconds())} old",
        f"if nothing writes it any more: cnn-pipeline doctor --end {run.info.run_id}",
    )
