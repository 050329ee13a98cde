"""The automation by which Prefect's server marks runs without a heartbeat as crashed.

A self-hosted server does not notice that a run's process is gone: the run would stay Running and
keep its slot.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.filters import FlowFilter
    from prefect.events.schemas.automations import AutomationCore

CRASH_SILENT_RUNS = "cnn-pipeline: crash silent runs"
# This project's flows. A shared server has others too, which send heartbeats at other times.
FLOWS = ("train-variants", "retrain", "watch-data")
# Seconds between two heartbeats of a run: the shortest interval that Prefect allows.
HEARTBEAT_SECONDS = 30
# A busy machine may miss some heartbeats.
SILENCE = timedelta(seconds=6 * HEARTBEAT_SECONDS)
HEARTBEAT = "prefect.flow-run.heartbeat"
# A run that ended or is paused sends no more heartbeats.
_ENDINGS = ("Completed", "Failed", "Cancelled", "Crashed", "Paused", "Suspended", "AwaitingRetry")


def own_flows() -> FlowFilter:
    """Prefect's filter for this project's flows."""
    from prefect.client.schemas.filters import FlowFilter

    return FlowFilter.model_validate({"name": {"any_": [*FLOWS]}})


def send_heartbeats() -> None:
    """Make the flow runs of this process send heartbeats as often as the automation expects.

    Prefect's default interval is as long as `SILENCE`. An environment variable that sets another
    interval is overridden.
    """
    from prefect.context import refresh_global_settings_context

    os.environ["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] = str(HEARTBEAT_SECONDS)
    refresh_global_settings_context()


def install_automations(client: SyncPrefectClient, silence: timedelta = SILENCE) -> None:
    """Create or update the automation."""
    keep_automation(client, _crash_silent_runs(silence))


def keep_automation(client: SyncPrefectClient, wanted: AutomationCore) -> None:
    """Create or update an automation; if it was disabled in the UI, it stays disabled.

    An identical one is left alone: an update would make its trigger forget what it waits for.
    """
    found = client.read_automations_by_name(wanted.name)
    if not found:
        client.create_automation(wanted)
        return
    kept, *doubles = found
    for double in doubles:
        client.delete_automation(double.id)
    wanted = wanted.model_copy(update={"enabled": kept.enabled})
    if _core(wanted) != _core(kept):
        client.update_automation(kept.id, wanted)


def _core(automation: AutomationCore) -> dict[str, object]:
    return automation.model_dump(exclude={"id": True, "trigger": {"id"}})


def _crash_silent_runs(silence: timedelta) -> AutomationCore:
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    return AutomationCore(
        name=CRASH_SILENT_RUNS,
        description=f"Mark a run as crashed that sends no heartbeat for {silence.seconds} s.",
        enabled=True,
        trigger=EventTrigger(
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": "flow", "prefect.resource.name": [*FLOWS]}
            ),
            for_each={"prefect.resource.id"},
            after={HEARTBEAT},
            expect={HEARTBEAT, *(f"prefect.flow-run.{name}" for name in _ENDINGS)},
            posture=Posture.Proactive,
            threshold=1,
            within=silence,
        ),
        actions=[
            ChangeFlowRunState(
                name=None,  # the type's own name, Crashed
                state=StateType.CRASHED,
                force=False,
                message=(
                    f"No heartbeat for {silence.seconds} s: "
                    "the process is gone, or could not reach this server."
                ),
            )
        ],
    )
