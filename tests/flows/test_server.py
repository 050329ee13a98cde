"""A flow whose Prefect server is away. With real servers: faults/test_servers_away.py."""

from __future__ import annotations

from contextvars import copy_context
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from cnn_pipeline.base import events
from flows import server


def test_nothing_is_shown_by_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "fault_of_server", lambda seconds: "timed out")
    assert server.shown(lambda: pytest.fail("asked")) is None
    monkeypatch.setattr(server, "fault_of_server", lambda seconds: "")
    assert server.shown(lambda: "shown") == "shown"


def test_the_engine_waits_for_no_server_that_was_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client exists before, and gets no other settings: it must be told itself."""
    asked: list[float] = []
    monkeypatch.setattr(server, "fault_of_server", lambda seconds: asked.append(seconds) or "gone")
    client = SyncPrefectClient("http://127.0.0.1:9/api")
    context = SimpleNamespace(get=lambda: SimpleNamespace(client=client))
    monkeypatch.setattr(server, "SyncClientContext", context)
    heard: list[events.Event] = []

    def flow() -> None:
        assert not server.server_answers(seconds=0)
        assert client._client.timeout == httpx.Timeout(2)
        assert PREFECT_CLIENT_MAX_RETRIES.value() == 0
        assert not server.server_answers()
        left: Any = server._GIVEN_UP.get()
        left.__exit__(None, None, None)  # of this context, which ends here and not with the process

    # Tests may share a context in which another server was given up.
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 5}), events.listening(heard.append):
        copy_context().run(flow)
    assert asked == [10, 2]
    (said,) = heard
    assert isinstance(said, events.Stage) and "stays away" in said.text
