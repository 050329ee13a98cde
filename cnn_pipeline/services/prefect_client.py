"""Clients of Prefect's API that do not try again: by themselves they do so for a minute a call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


def without_retries() -> AbstractContextManager[object]:
    """Have the clients of this thread make each request once, until the block ends."""
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    return temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0})


def impatient(seconds: float) -> AbstractContextManager[object]:
    """Have them also wait so long for an answer."""
    from prefect.settings import (
        PREFECT_API_REQUEST_TIMEOUT,
        PREFECT_CLIENT_MAX_RETRIES,
        temporary_settings,
    )

    return temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_REQUEST_TIMEOUT: seconds})


@contextmanager
def impatient_client(seconds: float) -> Iterator[SyncPrefectClient]:
    """A client of the configured API that waits so long for an answer, and asks once."""
    from prefect.client.orchestration import get_client

    with (
        without_retries(),
        get_client(httpx_settings={"timeout": seconds}, sync_client=True) as client,
    ):
        yield client


def fault_of_server(seconds: float) -> str:
    """Why the configured API does not answer within some seconds; empty if it does."""
    try:
        with impatient_client(seconds) as client:
            error = client.api_healthcheck()
    except Exception as raised:  # of the first request or of the address itself
        error = raised
    if error is None:
        return ""
    said = str(error).partition("For more information")[0].strip(" -\n")  # of httpx
    return said or f"nothing for {seconds:.0f} s"
