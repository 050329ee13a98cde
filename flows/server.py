"""What a flow does while Prefect's server is away: it goes on, and its pages show less."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

import httpx
from prefect.context import SyncClientContext
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES

from cnn_pipeline.base import events
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.services.prefect_client import fault_of_server, without_retries

_WAIT_SECONDS = 60.0
_ASK_SECONDS = 10.0
# Of each call that Prefect's engine still makes once the server was given up. It makes four.
_LAST_SECONDS = 2.0

T = TypeVar("T")


def server_answers(seconds: float = _WAIT_SECONDS) -> bool:
    """Whether Prefect's server answers. One that is away is waited for.

    If it stays away, Prefect's engine tries nothing again for the rest of the flow: it would take
    minutes to tell nobody how the run ended.
    """
    given_up = PREFECT_CLIENT_MAX_RETRIES.value() == 0
    deadline = time.monotonic() + (0 if given_up else seconds)
    where = f"Prefect's server at {redacted(PREFECT_API_URL.value() or '')}"
    told = False
    while fault := fault_of_server(_LAST_SECONDS if given_up else _ASK_SECONDS):
        if time.monotonic() >= deadline:
            if not given_up:
                events.emit(
                    events.Stage(f"{where} stays away: its pages do not show how this ends")
                )
                _give_up()
            return False
        if not told:
            events.emit(
                events.Stage(f"waiting up to {seconds:.0f} s for {where} ({redacted(fault)})")
            )
            told = True
        time.sleep(1)
    return True


def _give_up() -> None:
    """Let no client of this context try again, or wait long for a server that is frozen.

    Prefect's engine has no other way to be told. It has its client already, which has no setting.
    """
    settings = without_retries()
    settings.__enter__()
    _GIVEN_UP.set(settings)  # else it would be collected, and so left
    if (context := SyncClientContext.get()) is not None:
        context.client._client.timeout = httpx.Timeout(_LAST_SECONDS)


_GIVEN_UP: ContextVar[object] = ContextVar("given up", default=None)


def shown(make: Callable[[], T]) -> T | None:
    """What `make` returns, which shows something on Prefect's pages; None if the server is away."""
    if fault_of_server(_ASK_SECONDS):  # a frozen one would be waited for six times as long
        return None
    try:
        with without_retries():
            return make()
    except (httpx.TransportError, PrefectHTTPStatusError):
        return None
