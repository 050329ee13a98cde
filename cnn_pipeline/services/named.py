"""The servers that the user's environment names: a team's, instead of those of `up`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cnn_pipeline.base.links import check_address
from cnn_pipeline.services.prefect_client import impatient_client
from cnn_pipeline.services.running import Running

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

API_VARIABLE = "PREFECT_API_URL"


def named_api(now: Running | None) -> str | None:
    """Address of the Prefect API that the environment names, if `up` did not start it.

    It is PREFECT_API_URL, or where nothing runs, also that of Prefect's active profile.

    Raises:
        InvalidInput: its password is not percent-encoded.
    """
    api = os.environ.get(API_VARIABLE, "").strip()
    if now is not None:
        same = api.rstrip("/").replace("//localhost:", "//127.0.0.1:") == now.addresses.prefect_api
        return None if same else api or None
    if not api:
        from prefect.settings import get_current_settings

        api = get_current_settings().api.url or ""
    check_address(API_VARIABLE, api)
    return api or None


def api_remedy() -> str:
    """What to do if that server does not answer: who names it decides.

    Only a process that has imported Prefect's settings can have taken the address from a profile.
    """
    if os.environ.get(API_VARIABLE, "").strip():
        return f"start it, or correct or unset {API_VARIABLE}"
    from prefect.context import get_settings_context

    return (
        f"start it, or choose another than Prefect's profile {get_settings_context().profile.name} "
        f"(prefect profile ls, prefect profile use NAME), or set {API_VARIABLE}"
    )


@contextmanager
def named_client(seconds: float | None = None) -> Iterator[SyncPrefectClient]:
    """A client of that API; with `seconds` it does not retry, and waits so long for an answer."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from prefect.client.orchestration import get_client

    made = get_client(sync_client=True) if seconds is None else impatient_client(seconds)
    with made as client:
        yield client
