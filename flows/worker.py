"""What a flow needs to know about the worker that runs it, and what it leaves to others there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prefect import State, get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, WorkerStatus
from prefect.client.schemas.responses import SetStateStatus
from prefect.context import FlowRunContext
from prefect.exceptions import Abort
from prefect.states import AwaitingRetry, Running

from cnn_pipeline.base import events
from cnn_pipeline.base.holding import try_hold
from cnn_pipeline.base.home import DEPLOYED_VARIABLE, TRACKING_VARIABLE, Home
from cnn_pipeline.services.flow_runs import lives

_LOCK = "training"
_WAITING = "Waiting"
_POLL_SECONDS = 1.0
_ASK_SECONDS = 10.0
# Prefect counts two per try: the run is Running, then Waiting.
_MOST_RUN_COUNT = 20


def missing_server(environ: Mapping[str, str] = os.environ) -> str | None:
    """Why this worker must not run a deployment's run, or None.

    A worker's own tracking server is used. If it names none, but the deployment was made with one,
    its results would be in a folder where nobody looks for them.
    """
    deployed = environ.get(DEPLOYED_VARIABLE, "").strip()
    if not deployed or environ.get(TRACKING_VARIABLE, "").strip():
        return None
    return (
        f"{TRACKING_VARIABLE} must be set where the worker starts, because this deployment was "
        f"made with {deployed}; received none. Nothing was written. Start the worker with "
        f"{TRACKING_VARIABLE}={deployed}, or with another store."
    )


@contextmanager
def training_turn(home: Home, what: str) -> Iterator[None]:
    """Let the trainings of a home run one at a time, because they share the cores.

    A worker's run waits for the training before it: its state is Waiting, and its message says for
    what. If another worker is free, Prefect schedules the run again. A command that a person typed
    says the same and goes on, and a worker's run waits for it.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    waits = run is not None and run.deployment_id is not None
    # At once the first time, later after each further try.
    tries = run.run_count // 2 if run else 0
    told, ask_at = "", time.monotonic() + tries * _ASK_SECONDS
    while True:
        with try_hold(home.state, _LOCK, what) as holder:
            if holder is None or not waits:
                if holder is not None:
                    _say(f"another training runs under {home.root} ({holder}): both take longer")
                elif told and run is not None:
                    _say("its turn has come")
                    _show(run, Running())
                yield
                return
        assert run is not None
        message = f"waits for another training under {home.root} ({holder})"
        if holder != told:
            told = holder
            _say(message)
            _show(run, Running(name=_WAITING, message=message))
        if time.monotonic() >= ask_at:
            _hand_back(run, message)
            ask_at = time.monotonic() + _ASK_SECONDS
        time.sleep(_POLL_SECONDS)


def _say(message: str) -> None:
    get_run_logger().info(message)
    events.emit(events.Stage(message))


def _show(run: FlowRun, state: State[None]) -> None:
    """Set the state that Prefect's pages show. A run that is being cancelled keeps its state."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, state)


def _hand_back(run: FlowRun, why: str) -> None:
    """Let Prefect schedule the run again if another worker of its pool could train it now.

    A worker takes every run that is due, even one that must wait in its home.

    Raises:
        Abort: the run was handed back. Prefect ends this process and leaves the run's state alone.
    """
    # The same worker may take it again, so this is not tried for ever: each try takes seconds.
    if run.run_count > _MOST_RUN_COUNT:
        return
    with get_client(sync_client=True) as client:
        if not _another_worker_is_free(client, run):
            return
        # Else cancelling it before a worker takes it would wait for this process, which is gone.
        client.request(
            "PATCH",
            "/flow_runs/{id}",
            path_params={"id": run.id},
            json={"infrastructure_pid": None},
        )
        state: State[None] = AwaitingRetry(message=f"{why}; another worker is free")
        accepted = client.set_flow_run_state(run.id, state).status == SetStateStatus.ACCEPT
    if accepted:
        _say("handed back: another worker is free")
        raise Abort(state.message)


def _another_worker_is_free(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether more workers are online than trainings run, start, or are handed back.

    Prefect lists a lost machine's worker as online and its run as running for a while. The worker
    is offline after 90 s, and the run is not counted after 90 s of silence.
    """
    workers = client.read_workers_for_work_pool(run.work_pool_name or "")
    online = sum(worker.status == WorkerStatus.ONLINE for worker in workers)
    if online < 2:
        return False
    busy = client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate(
            {
                "state": {"type": {"any_": ["RUNNING", "PENDING"]}},
                "work_queue_name": {"any_": [run.work_queue_name]},
            }
        )
    )
    return sum(other.state_name != _WAITING and lives(client, other) for other in busy) < online
