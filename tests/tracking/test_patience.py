"""A store that is away: what is tried again, how long, and that nothing is written twice."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import sqlalchemy.exc
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking import MlflowClient

from cnn_pipeline.base import events
from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.reuse import finished_meanwhile
from cnn_pipeline.tracking import curves as curves_module
from cnn_pipeline.tracking.curves import Curves
from cnn_pipeline.tracking.patience import Patience, StoreAway, is_transient
from cnn_pipeline.tracking.store import StoreError, open_store
from cnn_pipeline.tracking.writer import Tracker
from tests.running import one_trial

GONE = requests.exceptions.ConnectionError("Connection refused")


class Clock:
    """Time that passes only while somebody sleeps or calls."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def patience(clock: Clock, seconds: float = 150) -> Patience:
    return Patience("http://mlflow", seconds, clock=clock, sleep=clock.sleep)


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What the screen is told."""
    lines: list[str] = []
    with events.listening(lambda event: lines.append(getattr(event, "text", ""))):
        yield lines


def wrapped(error: Exception) -> MlflowException:
    """An error as MLflow's client raises it where a request fails."""
    try:
        try:
            raise error
        except Exception as inner:
            raise MlflowException(f"API request to http://mlflow failed with {inner}")  # noqa: B904
    except MlflowException as outer:
        return outer


def sqlite(text: str) -> MlflowException:
    inner = sqlalchemy.exc.OperationalError("UPDATE", {}, sqlite3.OperationalError(text))
    return MlflowException(str(inner), TEMPORARILY_UNAVAILABLE)


def answer(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"{status}", response=response)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (wrapped(GONE), True),
        (wrapped(requests.exceptions.ReadTimeout("timed out")), True),
        (wrapped(requests.exceptions.RetryError("too many 503 error responses")), True),
        (wrapped(requests.exceptions.SSLError("certificate verify failed")), False),
        (wrapped(requests.exceptions.InvalidURL("http://:")), False),
        (RestException({"error_code": "TEMPORARILY_UNAVAILABLE"}), True),
        (RestException({"error_code": "INTERNAL_ERROR"}), True),
        (RestException({"error_code": "REQUEST_LIMIT_EXCEEDED"}), True),
        (RestException({"error_code": "RESOURCE_DOES_NOT_EXIST"}), False),
        (RestException({"error_code": "PERMISSION_DENIED"}), False),
        (MlflowException("No such artifact"), False),
        (MlflowException("failures ... downloading: Max retries exceeded with url"), True),
        (sqlite("database is locked"), True),
        (sqlite("database or disk is full"), False),
        (sqlite("attempt to write a readonly database"), False),
        (MlflowException("(psycopg2.OperationalError) terminating", TEMPORARILY_UNAVAILABLE), True),
        (answer(503), True),
        (answer(404), False),
        (OSError(28, "No space left on device"), False),
        (StoreError("the store must answer, received: Max retries exceeded with url"), True),
        (StoreError("the database must be readable, received: database is locked"), True),
        (StoreError("the store is damaged"), False),
        (StoreAway("MLflow did not answer for 150 s: database is locked"), False),
        (ValueError("anything else"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, expected: bool) -> None:
    assert is_transient(error) is expected


def failing(times: int, error: Exception = GONE) -> Callable[[], str]:
    left = [error] * times

    def call() -> str:
        if left:
            raise left.pop()
        return "done"

    return call


def test_a_call_is_made_again_until_the_store_answers(told: list[str]) -> None:
    clock = Clock()
    assert patience(clock).call(failing(6)) == "done"
    assert clock.slept == [0.5, 1, 2, 4, 8, 8]
    assert told == ["waiting up to 150 s for MLflow at http://mlflow (Connection refused)"]


def test_an_absence_ends_after_two_and_a_half_minutes_in_all(told: list[str]) -> None:
    clock = Clock()
    one = patience(clock)
    with pytest.raises(StoreAway, match="http://mlflow did not answer for 150 s: Connection"):
        one.call(failing(1000))
    assert clock.now == 150
    with pytest.raises(StoreAway):  # the same absence: nobody waits once more
        one.call(failing(1))
    assert clock.now == 150
    clock.now += 3600
    assert one.call(failing(3)) == "done"
    assert len(told) == 2


def test_slow_calls_count(told: list[str]) -> None:
    """A frozen server takes 20 s to fail each."""
    clock = Clock()

    def frozen() -> None:
        clock.now += 70
        raise GONE

    with pytest.raises(StoreAway):
        patience(clock).call(frozen)
    assert 150 <= clock.now < 150 + 70 + 8


def test_an_error_that_stays_is_raised_at_once() -> None:
    clock = Clock()
    with pytest.raises(ValueError, match="wrong"):
        patience(clock).call(failing(1, ValueError("wrong")))
    assert clock.slept == []


@pytest.fixture
def tracker(home: Home) -> Tracker:
    """A tracker that does not wait."""
    clock = Clock()
    return Tracker(open_store(home, {}), patience(clock))


def after(monkeypatch: pytest.MonkeyPatch, name: str, times: int = 1) -> None:
    """Let the store do what it is asked, and lose its reply, the first `times` times."""
    done, left = getattr(SqlAlchemyStore, name), [GONE] * times

    def lossy(*args: Any, **kwargs: Any) -> Any:
        result = done(*args, **kwargs)
        if left:
            raise wrapped(left.pop())
        return result

    monkeypatch.setattr(SqlAlchemyStore, name, lossy)


def begun(tracker: Tracker) -> tuple[str, str]:
    experiment_id = tracker.experiment("scripted-cnn")
    (trial,) = one_trial().trials()
    return experiment_id, tracker.start_trial(experiment_id, "none", "scripted-1", trial, {})


def test_a_lost_reply_makes_no_second_experiment_or_run(
    tracker: Tracker, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    after(monkeypatch, "create_experiment")
    after(monkeypatch, "create_run")
    experiment_id, run_id = begun(tracker)
    client = MlflowClient(home.database_uri)
    (run,) = client.search_runs([experiment_id], run_view_type=ViewType.ALL)
    assert run.info.run_id == run_id


def test_a_run_that_a_frozen_server_begins_late_is_deleted(
    tracker: Tracker, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads the first request together with the second, after the search has found nothing."""
    create, requests_made = SqlAlchemyStore.create_run, []

    def frozen(*args: Any, **kwargs: Any) -> Any:
        requests_made.append(args)
        if len(requests_made) == 1:
            raise wrapped(requests.exceptions.ReadTimeout("timed out"))
        create(*args, **kwargs)
        return create(*args, **kwargs)

    monkeypatch.setattr(SqlAlchemyStore, "create_run", frozen)
    experiment_id, run_id = begun(tracker)
    (run,) = MlflowClient(home.database_uri).search_runs([experiment_id])
    assert run.info.run_id == run_id


def test_a_lost_reply_writes_no_metric_twice(
    tracker: Tracker, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, run_id = begun(tracker)
    after(monkeypatch, "log_batch")
    tracker.log_summary(run_id, {"accuracy": 0.5})
    assert len(MlflowClient(home.database_uri).get_metric_history(run_id, "accuracy")) == 1


class Scripted:
    """A client of MLflow that holds one run's points, and fails or blocks when told to."""

    def __init__(self) -> None:
        self.points: list[tuple[str, int, float]] = []
        self.away = False
        self.blocked: threading.Event | None = None
        self.loses_replies = False

    def get_run(self, run_id: str) -> Any:
        self._answer()
        metrics = {key: 0.0 for key, _, _ in self.points}
        return SimpleNamespace(data=SimpleNamespace(metrics=metrics))

    def get_metric_history(self, run_id: str, key: str) -> list[Any]:
        self._answer()
        return [SimpleNamespace(step=step) for name, step, _ in self.points if name == key]

    def log_batch(self, run_id: str, metrics: list[Any]) -> None:
        self._answer()
        self.points += [(one.key, one.step, one.value) for one in metrics]
        if self.loses_replies:
            raise wrapped(GONE)

    def _answer(self) -> None:
        if self.blocked is not None:
            assert self.blocked.wait(30)
        if self.away:
            raise wrapped(GONE)


def curve(epochs: int) -> dict[int, dict[str, float]]:
    return {epoch: {"loss": 1 / (epoch + 1), "accuracy": epoch / 10} for epoch in range(epochs)}


def whole(epochs: int) -> list[tuple[str, int, float]]:
    return sorted((key, e, v) for e, one in curve(epochs).items() for key, v in one.items())


def curves_of(client: Scripted, told: list[str] | None = None) -> Curves:
    tell = [] if told is None else told
    return Curves(client, patience(Clock()), "r1", tell.append)  # type: ignore[arg-type]


def test_points_are_written_as_they_come() -> None:
    client = Scripted()
    written = curves_of(client)
    for epoch, metrics in curve(3).items():
        written.add(epoch, metrics)
        assert sorted(client.points) == whole(epoch + 1)
    written.complete(curve(3))
    assert sorted(client.points) == whole(3)


def test_points_of_an_absence_are_written_after_it() -> None:
    client, told = Scripted(), list[str]()
    written = curves_of(client, told)
    for epoch, metrics in curve(6).items():
        client.away = 1 <= epoch <= 3
        written.add(epoch, metrics)
    written.complete(curve(6))
    assert sorted(client.points) == whole(6)
    assert len(told) == 1 and "training goes on" in told[0]


def test_a_store_that_blocks_does_not_hold_training_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves_module, "_WAIT_SECONDS", 0.2)
    client, told = Scripted(), list[str]()
    client.blocked = threading.Event()
    written = curves_of(client, told)
    began = time.monotonic()
    for epoch, metrics in curve(50).items():
        written.add(epoch, metrics)
    assert time.monotonic() - began < 5
    (line,) = told
    assert line.startswith("MLflow at http://mlflow does not answer (not within 0 s): training go")
    client.blocked.set()
    written.complete(curve(50))
    assert sorted(client.points) == whole(50)


def test_a_resumed_run_has_one_history() -> None:
    """Its last epoch was logged, but is not in the checkpoint that it resumes from."""
    client = Scripted()
    first = curves_of(client)
    for epoch, metrics in curve(3).items():
        first.add(epoch, metrics)
    second = curves_of(client)
    for epoch in (2, 3, 4):
        second.add(epoch, curve(5)[epoch])
    second.complete(curve(5))
    assert sorted(client.points) == whole(5)
    third = curves_of(client)
    third.complete(curve(5))
    assert sorted(client.points) == whole(5)


def test_a_lost_reply_doubles_no_point() -> None:
    client = Scripted()
    client.loses_replies = True
    written = curves_of(client)
    written.add(0, curve(2)[0])
    client.loses_replies = False
    written.complete(curve(2))
    assert sorted(client.points) == whole(2)


def test_points_that_were_accepted_and_are_not_there_are_missed() -> None:
    client = Scripted()
    client.log_batch = lambda run_id, metrics: None  # type: ignore[method-assign]
    with pytest.raises(StoreError, match=r"must have 4 points .* but 4 are missing"):
        curves_of(client).complete(curve(2))


def test_a_store_that_stays_away_ends_it() -> None:
    client = Scripted()
    client.away = True
    written = curves_of(client)
    written.add(0, curve(1)[0])
    with pytest.raises(StoreAway, match="did not answer for 150 s"):
        written.complete(curve(1))


def test_a_refused_point_is_an_error() -> None:
    client = Scripted()

    def refuse(run_id: str, metrics: list[Any]) -> None:
        raise RestException({"error_code": "INVALID_PARAMETER_VALUE", "message": "no"})

    client.log_batch = refuse  # type: ignore[method-assign]
    with pytest.raises(RestException):
        curves_of(client).add(0, curve(1)[0])


def test_whether_another_sweep_has_trained_it_is_asked_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(home, {})
    experiment = MlflowClient(store.uri).create_experiment("pets")
    search, asked = MlflowClient.search_runs, []

    def away_once(*given: Any, **named: Any) -> Any:
        asked.append(given)
        if len(asked) == 1:
            raise wrapped(GONE)
        return search(*given, **named)

    monkeypatch.setattr(MlflowClient, "search_runs", away_once)
    assert finished_meanwhile(store, experiment, "key") is None
    assert len(asked) == 2
