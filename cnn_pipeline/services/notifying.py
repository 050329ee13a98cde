"""Prefect's notification blocks, and the automation that notifies where no run can.

A block holds the address and the secrets of a channel, such as Slack or a webhook.
"""

from __future__ import annotations

import inspect
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from cnn_pipeline.base.errors import InvalidInput, UserError, did_you_mean
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.services.automations import keep_automation

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

FLOW = "retrain"
MISSED = "cnn-pipeline: notify of retrainings that no worker takes"
CRASHED = "cnn-pipeline: notify of retrainings that fell silent"
# A run that no worker takes for so long counts as missed.
LATE = timedelta(minutes=30)
_TAKEN = ("Pending", "Running", "AwaitingConcurrencySlot", "Cancelling", "Cancelled", "Completed",
          "Failed", "Crashed")  # fmt: skip


@dataclass(frozen=True)
class Channels:
    """The notification blocks of a Prefect server."""

    server: str
    """Address of its API."""
    blocks: tuple[str, ...]
    """Each as 'type/name'."""
    sent: str | None
    """The block that accepted a test message; None if none was asked for."""


class NotSent(UserError):
    """The service of a block did not accept a message."""

    exit_code = 1


def blocks_that_notify(client: SyncPrefectClient) -> dict[str, UUID]:
    """The server's notification blocks: ids by 'type/name', sorted."""
    found: dict[str, UUID] = {}
    while True:
        answer = client.request(
            "POST",
            "/block_documents/filter",
            json={
                "block_schemas": {"block_capabilities": {"all_": ["notify"]}},
                "block_documents": {"is_anonymous": {"eq_": False}},
                "offset": len(found),
            },
        ).json()
        if not answer:
            return dict(sorted(found.items()))
        for block in answer:
            found[f"{block['block_type']['slug']}/{block['name']}"] = UUID(block["id"])


def check_blocks(names: Sequence[str]) -> None:
    """Check that this process's Prefect server has each block, and that it can notify.

    Raises:
        InvalidInput: names each block that is not there, and those that are.
    """
    if not names:
        return
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        known = blocks_that_notify(client)
        where = redacted(str(client.api_url))
    there = f"there are {', '.join(known)}" if known else "there is none"
    faults = [
        f"notify: no notification block {name!r} at {where}; {there}"
        f"{did_you_mean(name, known) or '.'} docs/how-to/schedule.md says how to make one."
        for name in names
        if name not in known
    ]
    if faults:
        raise InvalidInput(faults)


def send(name: str, subject: str, body: str) -> None:
    """Send one message through the block 'type/name'.

    Raises:
        NotSent: it names the block and the kind of the error. The error's own text may hold the
            block's address or secrets.
    """
    from prefect.blocks.abstract import NotificationBlock
    from prefect.blocks.core import Block
    from prefect.utilities.asyncutils import run_coro_as_sync

    try:
        block = Block.load(name)
        assert isinstance(block, NotificationBlock)
        with block.raise_on_failure():
            sent: Any = block.notify(body, subject=subject)
            if inspect.isawaitable(sent):
                assert isinstance(sent, Coroutine)
                run_coro_as_sync(sent)
    except Exception as error:
        answer = getattr(error, "response", None)
        status = f", HTTP status {answer.status_code}" if answer is not None else ""
        raise NotSent(
            f"block {name} could not send: {type(error).__name__}{status}. "
            "Check its address and secrets in Prefect's UI (Blocks)."
        ) from None


def install_notifications(client: SyncPrefectClient, late: timedelta = LATE) -> None:
    """Make, update or delete the automations, as the parameters of the deployment `retrain` say.

    They notify of a run that no worker takes and of one whose process is gone: nothing of ours
    runs then, only the server does. If one was disabled in the UI, it stays disabled.
    """
    from prefect.exceptions import ObjectNotFound

    try:
        deployment = client.read_deployment_by_name(f"{FLOW}/{FLOW}")
    except ObjectNotFound:
        return
    wanted = _automations(deployment.parameters, blocks_that_notify(client), late)
    for name in (MISSED, CRASHED):
        if name in wanted:
            keep_automation(client, wanted[name])
            continue
        for automation in client.read_automations_by_name(name):
            client.delete_automation(automation.id)


def _automations(
    parameters: Mapping[str, Any], known: Mapping[str, UUID], late: timedelta
) -> dict[str, AutomationCore]:
    """The automations by name; empty if nobody wants to be told."""
    from prefect.events.actions import SendNotification
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    notify = parameters.get("notify") or {}
    blocks = [known[name] for name in notify.get("blocks", ()) if name in known]
    on = notify.get("on", ("missed", "failed"))
    of_retrain = ResourceSpecification(
        {"prefect.resource.role": "flow", "prefect.resource.name": FLOW}
    )
    missed = EventTrigger(
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=of_retrain,
        for_each={"prefect.resource.id"},
        after={"prefect.flow-run.Late"},
        expect={f"prefect.flow-run.{state}" for state in _TAKEN},
        posture=Posture.Proactive,
        threshold=1,
        within=late,
    )
    # Written by the automation that marks silent runs as crashed. Of other crashes the run's own
    # process tells.
    crashed = EventTrigger(
        match=ResourceSpecification(
            {
                "prefect.resource.id": "prefect.flow-run.*",
                "prefect.state-message": "No heartbeat for *",
            }
        ),
        match_related=of_retrain,
        for_each={"prefect.resource.id"},
        expect={"prefect.flow-run.Crashed"},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )
    minutes = int(late.total_seconds() // 60)
    texts = {
        "missed": (missed, f"A run of {FLOW} is due, and no worker has taken it for {minutes} min. "
                   "Is `cnn-pipeline up` running? `cnn-pipeline doctor` says more."),
        "failed": (crashed, "{{ flow_run.name }}: {{ flow_run.state.message }} "
                   "{{ flow_run|ui_url }}"),
    }  # fmt: skip
    names = {"missed": MISSED, "failed": CRASHED}
    return {
        names[occasion]: AutomationCore(
            name=names[occasion],
            description="Made from the parameter 'notify' of the deployment retrain.",
            enabled=True,
            trigger=trigger,
            actions=[
                SendNotification(block_document_id=block, subject=f"{FLOW}: {occasion}", body=body)
                for block in blocks
            ],
        )
        for occasion, (trigger, body) in texts.items()
        if blocks and occasion in on
    }
