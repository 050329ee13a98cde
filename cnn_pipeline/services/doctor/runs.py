"""Checks of flow runs that have begun: does each one's process still live? And the way to end one.

Prefect's own pages and commands cannot end a run whose process is gone: they ask the process.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.quantities import duration
from cnn_pipeline.services.automations import SILENCE, own_flows
from cnn_pipeline.services.doctor.finding import Finding, fail, ok, warn
from cnn_pipeline.services.flow_runs import QUIET, last_heartbeat, open_runs

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

# A worker starts a run within seconds; a run that stays Pending has lost its worker.
_PENDING = datetime.timedelta(minutes=10)
# A cancelled run ends within 15 s, as long as its process lives.
_CANCELLING = datetime.timedelta(minutes=1)
# The automation acts within seconds.
_MARKED = SILENCE + datetime.timedelta(minutes=1)


def check_runs(client: SyncPrefectClient) -> list[Finding]:
    """Find runs of this project whose process seems to be gone."""
    runs = open_runs(client, own_flows())
    found = [finding for run in runs if (finding := _check(client, run)) is not None]
    return found or [ok("runs", f"{len(runs)} active, none is stuck")]


def end_run(client: SyncPrefectClient, run_id: UUID) -> FlowRun:
    """Mark a run whose process is gone as crashed, and return it.

    Raises:
        UserError: there is no such run, it has ended, or it sent a heartbeat lately.
    """
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed

    try:
        run = client.read_flow_run(run_id)
    except ObjectNotFound:
        raise UserError(f"--end: Prefect has no flow run {run_id}") from None
    assert run.state is not None
    if run.state.is_final():
        raise UserError(f"--end: {run.name} has ended already, as {run.state.name}")
    last = last_heartbeat(client, run)
    if last is not None and _now() - last < QUIET:
        age = duration((_now() - last).total_seconds())
        raise UserError(
            f"--end: {run.name} sent a heartbeat {age} ago, so its process lives. "
            f"Cancel it: prefect flow-run cancel {run.id}"
        )
    message = "Ended by hand: no heartbeat, so its process was taken to be gone."
    client.set_flow_run_state(run.id, Crashed(message=message), force=True)
    return run


def _check(client: SyncPrefectClient, run: FlowRun) -> Finding | None:
    from prefect.client.schemas.objects import StateType

    assert run.state is not None
    since, age = run.state.timestamp, _now() - run.state.timestamp
    end = f"cnn-pipeline doctor --end {run.id}"
    if run.state.type == StateType.PENDING:
        if age < _PENDING:
            return None
        return fail("runs", f"{run.name} is Pending {_since(since)}: its worker was lost", end)
    last = last_heartbeat(client, run)
    quiet = _now() - (last or since)
    if run.state.type == StateType.CANCELLING:
        if age < _CANCELLING:
            return None
        told = f"{run.name} is Cancelling {_since(since)}"
        if quiet < QUIET:
            remedy = f"end its process on the machine that runs it, then: {end}"
            return fail("runs", f"{told}, but its process still sends heartbeats", remedy)
        told = f"{told}: its process is gone"
    elif quiet < QUIET:
        return None
    elif last is None:
        told = f"{run.name} is Running {_since(since)}, but has never sent a heartbeat"
    else:
        told = f"{run.name} is Running, but has sent no heartbeat {_since(last)}"
    if last is not None and quiet < _MARKED:
        wait = f"wait: after {SILENCE.seconds} s without a heartbeat it is marked as crashed"
        return warn("runs", told, wait)
    return fail("runs", told, f"if its process is gone: {end}")


def _since(moment: datetime.datetime) -> str:
    """'since 2026-11-23 03:00 UTC (5 min)'."""
    age = duration((_now() - moment).total_seconds())
    return f"since {moment.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC ({age})"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
