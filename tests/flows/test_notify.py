"""Which ending a state of Prefect's is, and who is told of it."""

from __future__ import annotations

import contextlib
import logging
import uuid

import pytest
from prefect import State
from prefect.client import orchestration
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import TerminationSignal
from prefect.states import Crashed, Failed, exception_to_crashed_state
from prefect.utilities.asyncutils import run_coro_as_sync

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.champion.retraining.settings import NotifySettings
from cnn_pipeline.services import notifying
from cnn_pipeline.services.notifying import NotSent
from flows import notify
from flows.retrain import retrain


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Block, subject and body of each message; the block 'broken/one' cannot send."""
    messages: list[tuple[str, str, str]] = []

    def send(name: str, subject: str, body: str) -> None:
        if name == "broken/one":
            raise NotSent("block broken/one could not send: TimeoutException")
        messages.append((name, subject, body))

    monkeypatch.setattr(notify, "send", send)
    return messages


def crash(error: BaseException) -> State[object]:
    """The state that Prefect itself makes of it."""
    made = run_coro_as_sync(exception_to_crashed_state(error))
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("state", "ending"),
    [
        (Failed(name="Stopped", message="the data were refused"), "stopped"),
        (Failed(message="no candidate finished"), "failed"),
        (Crashed(message="Process exited with status code: 137."), "failed"),
        (crash(KeyboardInterrupt()), "stopped"),
        (crash(TerminationSignal(15)), "stopped"),
        (crash(SystemExit(3)), "failed"),
    ],
)
def test_the_hook_tells_what_became_of_a_run(
    sent: list[tuple[str, str, str]], state: State[object], ending: str
) -> None:
    run = FlowRun(
        id=uuid.uuid4(),
        flow_id=uuid.uuid4(),
        name="weekly",
        parameters={"notify": {"blocks": ["slack-webhook/ops"]}},
    )
    notify.notify_end(retrain, run, state)
    assert [(name, subject) for name, subject, _ in sent] == [
        ("slack-webhook/ops", f"retrain: {ending}")
    ]
    assert sent[0][2].startswith(f"weekly: {state.message}")


def test_only_chosen_endings_are_told(sent: list[tuple[str, str, str]]) -> None:
    chosen = NotifySettings(blocks=("a/b", "c/d"), on=("refused",))
    notify.tell(chosen, "promoted", "words")
    assert sent == []
    notify.tell(chosen, "refused", "words", page="http://127.0.0.1:4200/runs/1")
    assert sent == [
        (name, "retrain: refused", "words\nhttp://127.0.0.1:4200/runs/1") for name in ("a/b", "c/d")
    ]


@pytest.mark.filterwarnings("ignore:Logger .prefect.flow_runs.notify")
def test_a_block_that_cannot_send_is_a_warning_and_the_others_are_told(
    sent: list[tuple[str, str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="prefect.flow_runs.notify"):
        notify.tell(NotifySettings(blocks=("broken/one", "a/b")), "failed", "words", page="")
    assert sent == [("a/b", "retrain: failed", "words")]
    assert "block broken/one could not send" in caplog.text


def test_a_misspelt_block_is_named_without_the_servers_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Client(contextlib.nullcontext[None]):
        api_url = "http://me:secret@prefect.example/api"

    monkeypatch.setattr(orchestration, "get_client", lambda **_: Client())
    monkeypatch.setattr(notifying, "blocks_that_notify", lambda _: {"slack-webhook/ops": 1})
    monkeypatch.setattr(Client, "__enter__", lambda self: self)
    with pytest.raises(InvalidInput) as raised:
        notifying.check_blocks(["slack-webhook/opps"])
    said = str(raised.value)
    assert "at http://***@prefect.example/api; there are slack-webhook/ops; did you mean" in said
