"""Who is kept out of the registry while it is changed: other machines, where they can be."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import pytest

from cnn_pipeline.base import events
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion import register
from cnn_pipeline.services import temporary_prefect
from cnn_pipeline.services.addresses import Addresses
from cnn_pipeline.services.running import Running
from cnn_pipeline.tracking.store import Store

SERVER = "http://ann:secret@servers.example:5000"
PREFECT = "http://servers.example:4200/api"
UP = Running(
    Addresses("http://127.0.0.1:4200", "http://127.0.0.1:5000"), True, 1,
    {"prefect": True, "mlflow": True},
)  # fmt: skip


@pytest.fixture
def leases(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The leases that were asked for."""
    asked: list[tuple[str, str]] = []

    def leased(api: str, model: str) -> AbstractContextManager[None]:
        asked.append((api, model))
        return nullcontext()

    monkeypatch.setattr(register, "leased", leased)
    return asked


def said(home: Home, uri: str) -> list[str]:
    """What two changes in this store say."""
    register._say_once.cache_clear()
    heard: list[events.Event] = []
    with events.listening(heard.append):
        for _ in range(2):
            with register.registry_of(home, Store(uri, None))._turn("toy-cnn"):
                pass
    return [event.text for event in heard if isinstance(event, events.Stage)]


def test_a_change_in_a_shared_store_takes_a_lease_at_the_named_server(
    home: Home, leases: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", PREFECT)
    assert said(home, SERVER) == []
    assert leases == [(PREFECT, "toy-cnn")] * 2


def test_a_store_on_this_machine_needs_none(
    home: Home, leases: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", PREFECT)
    assert said(home, home.database_uri) == said(home, "sqlite:////other/mlflow.db") == []
    monkeypatch.setattr(register, "running", lambda home: UP)
    assert said(home, UP.addresses.mlflow) == []
    assert leases == []


@pytest.mark.parametrize("api", ["", UP.addresses.prefect_api, "http://127.0.0.1:7/api"])
def test_without_a_server_of_the_team_it_is_said_once_that_others_are_not_kept_out(
    home: Home, leases: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    """None at all, that of `up`, and the temporary one of this command serve no other machine."""
    monkeypatch.setenv("PREFECT_API_URL", api)
    monkeypatch.setattr(register, "running", lambda home: UP)
    monkeypatch.setattr(temporary_prefect, "_own_addresses", {"http://127.0.0.1:7/api"})
    assert said(home, SERVER) == [
        "no Prefect server is named, so promotions on other machines are not kept out of "
        "http://***@servers.example:5000: set PREFECT_API_URL, or promote on one machine at a time"
    ]
    assert leases == []
