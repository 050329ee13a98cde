"""Notify people through Prefect's notification blocks, which hold addresses and secrets."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from prefect import State
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.client.schemas.objects import FlowRun
from prefect.flows import Flow
from prefect.utilities.asyncutils import run_coro_as_sync

_log = logging.getLogger("prefect.flow_runs.notify")


def notify(names: Sequence[str], subject: str, body: str) -> None:
    """Send one message through each block, named 'type/name'.

    A failure is a warning in the log and does not fail the flow. The warning names only the block
    and the type of the error, because an error's text may hold the block's address.
    """
    for name in names:
        try:
            block = Block.load(name)
            if not isinstance(block, NotificationBlock):
                _log.warning("block %s is not a notification block; nothing was sent", name)
                continue
            with block.raise_on_failure():
                sent: Any = block.notify(body, subject=subject)
                if inspect.isawaitable(sent):
                    assert isinstance(sent, Coroutine)
                    run_coro_as_sync(sent)
        except Exception as error:
            _log.warning("block %s could not notify: %s", name, type(error).__name__)


def notify_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Hook for flows whose parameter `settings` has a field `notify`: report how they ended."""
    settings = flow_run.parameters.get("settings", {})
    names = settings.get("notify", ()) if isinstance(settings, dict) else settings.notify
    notify(names, f"{flow.name}: {state.name}", f"{flow_run.name}: {state.message}")
