"""Tell people how a retraining ended, through Prefect's notification blocks."""

from __future__ import annotations

import logging
from typing import Any

from prefect import State
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.flows import Flow
from prefect.runtime import flow_run as runtime
from prefect.settings import PREFECT_UI_URL

from cnn_pipeline.base import links
from cnn_pipeline.champion.retraining.settings import NotifySettings
from cnn_pipeline.services.notifying import NotSent, install_notifications, send

_log = logging.getLogger("prefect.flow_runs.notify")
# What Prefect writes where Ctrl-C or SIGTERM ends a run.
_STOPPED = ("Execution was aborted by an interrupt", "Execution was aborted by a termination")


def tell(notify: NotifySettings, ending: str, body: str, page: str | None = None) -> None:
    """Send one message through each block, if people want to be told of this ending.

    A block that cannot send is a warning in the log, and does not fail the flow.
    """
    if ending not in notify.on:
        return
    page = links.to_open(str(runtime.ui_url or "") if page is None else page)
    # The temporary server of a command has no UI: its address has no host.
    link = f"\n{page}" if page.startswith("http") else ""
    for name in notify.blocks:
        try:
            send(name, f"retrain: {ending}", f"{body}{link}")
        except NotSent as error:
            _log.warning("%s", error)


def notify_end(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Hook for a run of `retrain` that failed or crashed: tell people of it."""
    given = flow_run.parameters.get("notify", {})
    notify = given if isinstance(given, NotifySettings) else NotifySettings.model_validate(given)
    message = state.message or ""
    stopped = state.name == "Stopped" or message.startswith(_STOPPED)
    page = f"{PREFECT_UI_URL.value()}/runs/flow-run/{flow_run.id}"
    tell(notify, "stopped" if stopped else "failed", f"{flow_run.name}: {message}", page)


def watch_schedule() -> None:
    """Keep the automation that tells of missed runs as the deployment's parameters say."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow_run.deployment_id is None:
        return
    with get_client(sync_client=True) as client:
        install_notifications(client)
