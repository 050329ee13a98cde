"""Flow runs that have begun on a Prefect server, and their end when the server stops.

Runs of other processes cannot go on without the server: those of a command, or of another worker.
So they are cancelled first. Each run watches its own state and ends within seconds.
"""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from cnn_pipeline.base.home import Home
from cnn_pipeline.services.addresses import Addresses
from cnn_pipeline.services.automations import HEARTBEAT, HEARTBEAT_SECONDS
from cnn_pipeline.services.deploying import client_for
from cnn_pipeline.services.prefect_client import without_retries

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.filters import FlowFilter
    from prefect.client.schemas.objects import FlowRun

# A run that was not heard of for so long has no process. A busy machine may miss two heartbeats.
QUIET = datetime.timedelta(seconds=3 * HEARTBEAT_SECONDS)
REASON = "`cnn-pipeline down`, or the end of `up`, stops the Prefect server of this run"
_POLL_SECONDS = 0.5


def cancelling(name: str) -> str:
    """What the screen says of a run that is cancelled because its server stops."""
    return f"cancelling {name}: another process runs it with this Prefect server"


def open_runs(client: SyncPrefectClient, flows: FlowFilter | None = None) -> list[FlowRun]:
    """Runs that are running, pending or being cancelled: the states that hold a slot."""
    from prefect.client.schemas.filters import FlowRunFilter

    states = {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}
    return client.read_flow_runs(
        flow_filter=flows, flow_run_filter=FlowRunFilter.model_validate({"state": states})
    )


def last_heartbeat(client: SyncPrefectClient, run: FlowRun) -> datetime.datetime | None:
    """When a run was last heard of; None if never. Prefect keeps these events for a week."""
    answer = client.request(
        "POST",
        "/events/filter",
        json={
            "filter": {
                "event": {"name": [HEARTBEAT]},
                "resource": {"id": [f"prefect.flow-run.{run.id}"]},
                "occurred": {
                    "since": (
                        datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=7)
                    ).isoformat()
                },
                "order": "DESC",
            },
            "limit": 1,
        },
    )
    events = answer.json()["events"]
    return datetime.datetime.fromisoformat(events[0]["occurred"]) if events else None


def lives(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether a run, or its state if it has sent no heartbeat yet, is no older than `QUIET`."""
    assert run.state is not None
    heard = last_heartbeat(client, run) or run.state.timestamp
    return datetime.datetime.now(datetime.UTC) - heard < QUIET


def cancel_others(home: Home, addresses: Addresses, own: Collection[int]) -> list[FlowRun]:
    """Cancel the open runs of other processes that live, and return them.

    If the server does not answer at once, or with an error, no more are cancelled.

    Args:
        home: folder of the services.
        addresses: where their servers listen.
        own: ids of the processes that this home's worker has started.
    """
    from prefect.client.schemas.objects import StateType
    from prefect.states import Cancelling

    found: list[FlowRun] = []
    with (
        _errors_ignored(),
        without_retries(),
        client_for(home, addresses) as client,
    ):
        others = [run for run in open_runs(client) if _process_of(run) not in own]
        found += [run for run in others if lives(client, run)]
        for run in found:
            if run.state_type != StateType.CANCELLING:
                client.set_flow_run_state(run.id, Cancelling(message=REASON))
    return found


def wait_for_end(
    home: Home, addresses: Addresses, runs: Collection[FlowRun], seconds: float
) -> list[str]:
    """Wait until runs have ended; return the names of those that have not after `seconds`."""
    deadline = time.monotonic() + seconds
    left = {run.id: run.name for run in runs}
    with (
        _errors_ignored(),
        without_retries(),
        client_for(home, addresses) as client,
    ):
        while left and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            left = {run.id: run.name for run in open_runs(client) if run.id in left}
    return list(left.values())


def _errors_ignored() -> AbstractContextManager[object]:
    """End the block at an error of the server, which must not keep the services from stopping."""
    import httpx
    from prefect.exceptions import PrefectException

    return contextlib.suppress(httpx.HTTPError, PrefectException)


def _process_of(run: FlowRun) -> int | None:
    """Id of the process that a worker has started for a run; None for a command's run."""
    _, _, pid = (run.infrastructure_pid or "").rpartition(":")
    return int(pid) if pid.isdecimal() else None
