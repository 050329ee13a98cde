"""What doctor says of a Prefect server, from the answers of a stub of its client."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from prefect.client.schemas.objects import WorkerStatus

from cnn_pipeline.services.doctor import FAIL, OK, WARN, Finding, prefect

NOW = datetime.datetime(2026, 11, 29, 12, 0, tzinfo=datetime.UTC)


def deployment(**more: Any) -> SimpleNamespace:
    schedule = SimpleNamespace(active=True, slug="weekly", id=UUID(int=2))
    values = {
        "id": UUID(int=1),
        "name": "retrain-weekly",
        "paused": False,
        "schedules": [schedule],
        "global_concurrency_limit": SimpleNamespace(name="retrain", limit=1, active_slots=0),
    }
    return SimpleNamespace(**values | more)


class Server:
    """Answers as a healthy server, but for what is given."""

    def __init__(self, *, next_run: datetime.datetime, limit: int | None, queue: int | None):
        self._next_run, self._limit, self._queue = next_run, limit, queue

    def read_work_pool(self, name: str) -> object:
        return SimpleNamespace(is_paused=False, concurrency_limit=self._limit)

    def read_work_queues(self, work_pool_name: str) -> list[object]:
        return [SimpleNamespace(name="training", is_paused=False, concurrency_limit=self._queue)]

    def read_workers_for_work_pool(self, name: str) -> list[object]:
        return [SimpleNamespace(name="w", status=WorkerStatus.ONLINE)]

    def get_scheduled_flow_runs_for_deployments(self, ids: list[UUID], limit: int) -> list[object]:
        return [SimpleNamespace(expected_start_time=self._next_run)]

    def read_automations_by_name(self, name: str) -> list[object]:
        return [SimpleNamespace(enabled=True)]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Asks a stub, with one deployment that is in `prefect.yaml`."""

    def asked(
        one: SimpleNamespace | None = None,
        *,
        next_run: datetime.datetime = NOW + datetime.timedelta(days=1),
        limit: int | None = None,
        queue: int | None = None,
    ) -> list[Finding]:
        one = one or deployment()
        monkeypatch.setattr(prefect, "own_deployments", lambda client: [one])
        monkeypatch.setattr(prefect, "_slugs_of_file", lambda: {one.name: {"weekly"}})
        monkeypatch.setattr(prefect, "open_runs", lambda client: [])
        monkeypatch.setattr(prefect, "check_runs", lambda client: [])
        monkeypatch.setattr(prefect, "_now", lambda: NOW)
        server = Server(next_run=next_run, limit=limit, queue=queue)
        return prefect.check_prefect(server, "start it")  # type: ignore[arg-type]

    return asked


def of(findings: list[Finding], name: str) -> list[tuple[str, str, str]]:
    return [(one.level, one.message, one.remedy) for one in findings if one.name == name]


def test_a_healthy_server_has_no_finding(ask: Any) -> None:
    found = ask()
    assert {one.level for one in found} == {OK}
    assert of(found, "schedules") == [(OK, "retrain-weekly runs next at 2026-11-30 12:00 UTC", "")]
    assert {one.level for one in ask(limit=3, queue=1)} == {OK}


def test_a_limit_of_no_runs_is_a_failure(ask: Any) -> None:
    clear = "clear-concurrency-limit"
    assert of(ask(limit=0), "pool") == [
        (
            FAIL,
            "the limit of cnn-pipeline is 0 runs, so no run starts",
            f"prefect work-pool {clear} cnn-pipeline",
        )
    ]
    assert of(ask(queue=0), "pool") == [
        (
            FAIL,
            "the limit of its queue training is 0 runs",
            f"prefect work-queue {clear} training --pool cnn-pipeline",
        )
    ]
    closed = SimpleNamespace(name="retrain", limit=0, active_slots=0)
    assert of(ask(deployment(global_concurrency_limit=closed)), "slots") == [
        (
            FAIL,
            "the limit of retrain-weekly is 0 runs, so its runs never start",
            'prefect gcl update "retrain" --limit 1',
        )
    ]


def test_a_run_whose_time_has_gone_by_does_not_run_next(ask: Any) -> None:
    (just,) = of(ask(next_run=NOW - datetime.timedelta(seconds=20)), "schedules")
    assert just[:2] == (OK, "retrain-weekly is about to start, since 2026-11-29 11:59 UTC")
    (late,) = of(ask(next_run=NOW - datetime.timedelta(minutes=2)), "schedules")
    assert late[:2] == (
        WARN,
        "retrain-weekly should have begun at 2026-11-29 11:58 UTC, and has not",
    )
    assert "check 'worker', 'pool' and 'slots'" in late[2]
