"""What is left alone on a Prefect server, and what happens if it answers with an error."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
import pytest

from cnn_pipeline.base.home import Home
from cnn_pipeline.services import flow_runs
from cnn_pipeline.services.addresses import Addresses
from cnn_pipeline.services.deploying import name_schedules

ADDRESSES = Addresses("http://127.0.0.1:4200", "http://127.0.0.1:5000")


class SharedServer:
    """Stands where Prefect's client does: a deployment of ours, and one of another project."""

    def __init__(self) -> None:
        self.changed: list[int] = []

    def read_deployments(self, *, flow_filter: Any = None) -> list[SimpleNamespace]:
        schedule = SimpleNamespace(slug=None, id=UUID(int=1))
        found = [
            SimpleNamespace(id=number, flow=flow, schedules=[schedule])
            for number, flow in enumerate(("retrain", "invoices"))
        ]
        return [one for one in found if not flow_filter or one.flow in flow_filter.name.any_]

    def update_deployment_schedule(self, deployment_id: int, schedule_id: UUID, slug: str) -> None:
        self.changed.append(deployment_id)


def test_schedules_of_other_projects_are_left_alone() -> None:
    server = SharedServer()
    name_schedules(server)  # type: ignore[arg-type]
    assert server.changed == [0]


def test_a_server_that_answers_with_an_error_does_not_keep_the_services_from_stopping(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SQLite database that is locked gives status 503."""
    from prefect.client.schemas.objects import FlowRun, State, StateType

    now = datetime.datetime.now(datetime.UTC)
    state = State(type=StateType.RUNNING, timestamp=now)
    run = FlowRun(id=UUID(int=7), name="bold-hare", flow_id=UUID(int=1), state=state)

    class Server:
        def read_flow_runs(self, **filters: object) -> list[FlowRun]:
            return [run]

        def request(self, *words: object, **content: object) -> httpx.Response:
            return httpx.Response(200, json={"events": []})

        def set_flow_run_state(self, run_id: UUID, state: object) -> None:
            request = httpx.Request("POST", "http://127.0.0.1:4200")
            raise httpx.HTTPStatusError("503", request=request, response=httpx.Response(503))

    @contextlib.contextmanager
    def client_for(*_: object) -> Iterator[Server]:
        yield Server()

    monkeypatch.setattr(flow_runs, "client_for", client_for)
    assert flow_runs.cancel_others(home, ADDRESSES, own=()) == [run]
