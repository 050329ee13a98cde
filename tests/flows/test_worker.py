"""What a worker's environment and home mean for a run. With real workers: e2e/test_team.py."""

from __future__ import annotations

import datetime
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.client.schemas.objects import WorkerStatus

from cnn_pipeline.base import events
from cnn_pipeline.base.holding import try_hold
from cnn_pipeline.base.home import Home
from flows import worker

SERVER = "http://***@mlflow.example:5000"


def test_a_worker_without_a_server_is_refused_what_was_deployed_with_one() -> None:
    assert worker.missing_server({}) is None
    assert worker.missing_server({"CNN_PIPELINE_DEPLOYED_WITH": ""}) is None
    own = {"CNN_PIPELINE_DEPLOYED_WITH": SERVER, "MLFLOW_TRACKING_URI": "http://other:5000"}
    assert worker.missing_server(own) is None
    for none in ({}, {"MLFLOW_TRACKING_URI": " "}):
        fault = worker.missing_server({"CNN_PIPELINE_DEPLOYED_WITH": SERVER, **none})
        assert fault is not None
        assert fault.startswith("MLFLOW_TRACKING_URI must be set where the worker starts")
        assert f"made with {SERVER}; received none" in fault


def test_a_command_beside_another_training_says_so_and_goes_on(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "get_run_logger", lambda: logging.getLogger("test"))
    heard: list[events.Event] = []
    with events.listening(heard.append):
        with worker.training_turn(home, "sweep one"):
            with try_hold(home.state, "training") as holder:
                assert holder is not None and holder.startswith("sweep one, process")
            assert heard == []
            with worker.training_turn(home, "sweep two"):
                (said,) = heard
                assert isinstance(said, events.Stage)
                assert said.text.startswith(f"another training runs under {home.root} (sweep one")
        with try_hold(home.state, "training") as holder:
            assert holder is None


@pytest.mark.parametrize(
    ("silent", "free"),
    [
        ((10, 10), False),
        ((10, 85), False),
        ((10, 95), True),  # its machine is lost
    ],
)
def test_a_run_of_a_lost_machine_keeps_no_worker_busy(
    monkeypatch: pytest.MonkeyPatch, silent: tuple[int, int], free: bool
) -> None:
    """Two workers are online; runs that were heard of so many seconds ago, and one that waits."""
    now = datetime.datetime.now(datetime.UTC)

    def run(seconds: int, name: str = "Running") -> SimpleNamespace:
        state = SimpleNamespace(timestamp=now - datetime.timedelta(hours=1))
        heard = now - datetime.timedelta(seconds=seconds)
        return SimpleNamespace(state_name=name, state=state, heard=heard)

    online = SimpleNamespace(status=WorkerStatus.ONLINE)
    offline = SimpleNamespace(status=WorkerStatus.OFFLINE)
    client: Any = SimpleNamespace(
        read_workers_for_work_pool=lambda name: [online, online, offline],
        read_flow_runs=lambda flow_run_filter: [*map(run, silent), run(1, "Waiting")],
    )
    monkeypatch.setattr(
        "cnn_pipeline.services.flow_runs.last_heartbeat", lambda client, run: run.heard
    )
    asking: Any = SimpleNamespace(work_pool_name="cnn-pipeline", work_queue_name="training")
    assert worker._another_worker_is_free(client, asking) is free
