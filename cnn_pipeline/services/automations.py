"""The automation by which Prefect's server marks runs without a heartbeat as crashed.

A self-hosted server does not notice that a run's process is gone: the run would stay Running and
keep its slot.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cnn_pipeline.services.environment import HEARTBEAT_SECONDS

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

CRASH_SILENT_RUNS = "cnn-pipeline: crash silent runs"
# A busy machine may miss some heartbeats.
SILENCE = timedelta(seconds=6 * HEARTBEAT_SECONDS)
HEARTBEAT = "prefect.flow-run.heartbeat"
# A run that ended or is paused sends no more heartbeats.
_ENDINGS = ("Completed", "Failed", "Cancelled", "Crashed", "Paused", "Suspended", "AwaitingRetry")


def install_automations(client: SyncPrefectClient, silence: timedelta = SILENCE) -> None:
    """Create or update the automation; if it was disabled in the UI, it stays disabled."""
    found = client.read_automations_by_name(CRASH_SILENT_RUNS)
    if not found:
        client.create_automation(_crash_silent_runs(silence, enabled=True))
        return
    kept, *doubles = found
    for double in doubles:
        client.delete_automation(double.id)
    wanted = _crash_silent_runs(silence, enabled=kept.enabled)
    if wanted.model_dump(exclude={"trigger": {"id"}}) != _core(kept):
        client.update_automation(kept.id, wanted)


def _core(automation: AutomationCore) -> dict[str, object]:
    return automation.model_dump(exclude={"id": True, "trigger": {"id"}})


def _crash_silent_runs(silence: timedelta, *, enabled: bool) -> AutomationCore:
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    return AutomationCore(
        name=CRASH_SILENT_RUNS,
        description=f"Mark a run as crashed that sends no heartbeat for {silence.seconds} s.",
        enabled=enabled,
        trigger=EventTrigger(
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
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
                message=f"No heartbeat for {silence.seconds} s: the process is gone.",
            )
        ],
    )
