"""The watch for a cancellation, on scripted answers of Prefect's server.

On a real server that is restarted: tests/e2e/test_cancel.py.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest
from prefect import State, task
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import TerminationSignal
from prefect.states import Cancelled, Cancelling, Completed, Running

from cnn_pipeline.base.errors import Stopped
from flows import cancelling

AWAY = httpx.ConnectError("refused")


class Server:
    """Answers with these states in turn, and with the last one from then on."""

    def __init__(self, *answers: State[Any] | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    def read_flow_run(self, run_id: UUID) -> SimpleNamespace:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(state=answer)


@pytest.fixture
def own_run(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a flow run: it has an id, and Prefect's handler makes SIGTERM an exception."""

    def terminate(number: int, frame: object) -> None:
        raise TerminationSignal(number)

    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", str(uuid4()))
    monkeypatch.setattr(cancelling, "_EVERY_SECONDS", 0.01)
    before = signal.signal(signal.SIGTERM, terminate)
    yield
    signal.signal(signal.SIGTERM, before)


def answering(monkeypatch: pytest.MonkeyPatch, *answers: State[Any] | Exception) -> Server:
    server = Server(*answers)
    monkeypatch.setattr(cancelling, "get_client", lambda **_: server)
    # Else Prefect would start a server for all tests of this user, to ask for its health.
    monkeypatch.setattr(cancelling, "server_answers", lambda: True)
    return server


def forever() -> State[Any]:
    threading.Event().wait(30)
    pytest.fail("nobody has interrupted the flow")


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (Running(), None),
        (Completed(), None),
        (Cancelling(), "cancelled in Prefect"),
        (Cancelled(message="wrong data"), "cancelled in Prefect: wrong data"),
    ],
)
def test_the_reason_is_in_words(state: State[Any], reason: str | None) -> None:
    client = cast(SyncPrefectClient, Server(state))
    assert cancelling.reason_of(client, uuid4()) == reason


@pytest.mark.usefixtures("own_run")
def test_a_server_that_was_away_cancels_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    server = answering(monkeypatch, Running(), AWAY, AWAY, AWAY, Running(), Cancelling())
    ended = cancelling.until_cancelled(forever)
    assert (ended.type, ended.message) == ("CANCELLED", "cancelled in Prefect")
    assert server.asked >= 6


def stopped_from_outside() -> State[Any]:
    os.kill(os.getpid(), signal.SIGTERM)
    return forever()


@pytest.mark.usefixtures("own_run")
def test_other_ends_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop of the service is no cancellation: Prefect marks the run as crashed."""
    answering(monkeypatch, Running())
    done = Completed(message="done")
    assert cancelling.until_cancelled(lambda: done) is done
    with pytest.raises(TerminationSignal):
        cancelling.until_cancelled(stopped_from_outside)


@pytest.mark.usefixtures("own_run")
def test_the_worker_cancels_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the server is too busy to answer."""
    monkeypatch.setattr(cancelling, "get_intent", lambda: "cancel")
    answering(monkeypatch, AWAY)
    ended = cancelling.until_cancelled(stopped_from_outside)
    assert (ended.type, ended.message) == ("CANCELLED", "cancelled in Prefect")


@pytest.mark.usefixtures("own_run")
def test_a_second_signal_does_not_interrupt_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker sends one as well where its subscription lives."""
    answering(monkeypatch, Cancelling())
    cleaned = []

    def body() -> State[Any]:
        try:
            with cancelling.in_words():
                return forever()
        except Stopped as stopped:
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append(str(stopped))
            raise

    assert cancelling.until_cancelled(body).is_cancelled()
    assert cleaned == ["cancelled in Prefect"]


@pytest.mark.usefixtures("own_run")
def test_a_run_that_was_cancelled_at_its_very_end_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Prefect takes no other end for it, and it would stay Cancelling."""
    monkeypatch.setattr(cancelling, "_EVERY_SECONDS", 60.0)
    answering(monkeypatch, Cancelling())
    assert cancelling.until_cancelled(lambda: Completed()).is_cancelled()


@pytest.mark.usefixtures("own_run")
def test_nothing_interrupts_what_comes_after_the_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    server = answering(monkeypatch, Running())
    cancelling.until_cancelled(lambda: Completed())
    server.answers = [Cancelling()]
    for thread in threading.enumerate():
        if thread.name == "cancelling":
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.usefixtures("own_run")
def test_a_flow_beside_the_main_thread_is_not_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal reaches only the main thread, which does something else."""
    server = answering(monkeypatch, Cancelling())
    ended: list[State[Any]] = []

    def body() -> State[Any]:
        time.sleep(0.2)
        return Completed()

    thread = threading.Thread(target=lambda: ended.append(cancelling.until_cancelled(body)))
    thread.start()
    thread.join(30)
    assert server.asked == 1, "only once it has ended"
    assert [state.type for state in ended] == ["CANCELLED"]


@pytest.mark.usefixtures("own_run")
def test_an_interrupted_task_ends_as_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect takes the state that its function returns; whoever called the task is stopped."""
    monkeypatch.setattr(cancelling, "get_intent", lambda: "cancel")

    @task(name="wait")
    def wait(seconds: float = 30) -> str:
        """Waits."""
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(seconds)
        return "not interrupted"

    call = cancelling.cancellable(wait)
    assert (call.__name__, call.__doc__) == ("wait", "Waits.")
    ended = cast(State[Any], wait.fn())
    assert (ended.type, ended.message) == ("CANCELLED", "cancelled in Prefect")
    monkeypatch.setattr(type(wait), "__call__", lambda *_: ended)
    with pytest.raises(Stopped, match="cancelled in Prefect"):
        call()
