"""Checks on Prefect's server: pool, worker, schedules, automation, stuck runs and slots."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import TYPE_CHECKING, Any

import yaml

from cnn_pipeline.base.home import Home
from cnn_pipeline.base.quantities import duration
from cnn_pipeline.services.addresses import POOL, Addresses, project_root
from cnn_pipeline.services.automations import CRASH_SILENT_RUNS, HEARTBEAT, SILENCE
from cnn_pipeline.services.deploying import client_for
from cnn_pipeline.services.doctor.finding import Finding, fail, ok, warn

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, WorkPool
    from prefect.client.schemas.responses import DeploymentResponse

# A worker starts a run within seconds; a run that stays Pending has lost its worker.
_PENDING = datetime.timedelta(minutes=10)
_CANCELLING = datetime.timedelta(minutes=15)


def check_prefect(home: Home, addresses: Addresses) -> list[Finding]:
    """Run the checks that need an answering server."""
    from prefect.exceptions import ObjectNotFound

    with client_for(home, addresses) as client:
        try:
            pool = client.read_work_pool(POOL)
        except ObjectNotFound:
            return [fail("pool", f"there is no work pool {POOL}", "create it: cnn-pipeline deploy")]
        deployments = client.read_deployments()
        return [
            *_pool(client, pool),
            _worker(client),
            *_schedules(client, deployments),
            _automation(client),
            *_runs(client, addresses),
            *_slots(client, deployments),
        ]


def _pool(client: SyncPrefectClient, pool: WorkPool) -> list[Finding]:
    found = []
    if pool.is_paused:
        remedy = f"prefect work-pool resume {POOL}, or the switch in Prefect's UI"
        found.append(warn("pool", f"{POOL} is paused, so no run starts", remedy))
    for queue in client.read_work_queues(work_pool_name=POOL):
        if queue.is_paused:
            remedy = f"prefect work-queue resume {queue.name} --pool {POOL}"
            found.append(warn("pool", f"its queue {queue.name} is paused", remedy))
    return found or [ok("pool", f"{POOL} and its queues are open")]


def _worker(client: SyncPrefectClient) -> Finding:
    from prefect.client.schemas.objects import WorkerStatus

    workers = client.read_workers_for_work_pool(POOL)
    online = [worker.name for worker in workers if worker.status == WorkerStatus.ONLINE]
    if online:
        return ok("worker", f"{', '.join(online)} takes runs")
    return fail(
        "worker",
        "no worker has sent a heartbeat lately, so no run starts",
        "restart the services: cnn-pipeline down, cnn-pipeline up; if that fails, read worker.log",
    )


def _schedules(client: SyncPrefectClient, deployments: list[DeploymentResponse]) -> list[Finding]:
    wanted = _slugs_of_file()
    there = {deployment.name: deployment for deployment in deployments}
    found: list[Finding] = []
    for name, slugs in wanted.items():
        deployment = there.get(name)
        if deployment is None:
            found.append(fail("deployments", f"{name} is missing", "cnn-pipeline deploy"))
            continue
        found += _slugs(deployment, slugs)
        if deployment.paused:
            remedy = "resume it in Prefect's UI"
            found.append(warn("deployments", f"{name} is paused", remedy))
    for deployment in deployments:
        if any(schedule.active for schedule in deployment.schedules) and not deployment.paused:
            found.append(_next_run(client, deployment))
    return found


def _slugs(deployment: DeploymentResponse, wanted: set[str]) -> list[Finding]:
    """Check a deployment's schedules: a slug renamed without `replaces` leaves both active."""
    found = []
    for schedule in deployment.schedules:
        name = f"{deployment.name}: {schedule.slug or schedule.id}"
        if not schedule.active:
            remedy = f"prefect deployment schedule resume {deployment.name}/{deployment.name} "
            found.append(warn("schedules", f"{name} is paused", remedy + str(schedule.id)))
        elif schedule.slug not in wanted:
            remedy = "delete it in Prefect's UI unless it was made on purpose"
            found.append(warn("schedules", f"{name} is not in prefect.yaml", remedy))
    missing = wanted - {schedule.slug for schedule in deployment.schedules}
    found += [
        fail("schedules", f"{deployment.name}: {slug} is missing", "cnn-pipeline deploy")
        for slug in sorted(missing)
    ]
    return found


def _next_run(client: SyncPrefectClient, deployment: DeploymentResponse) -> Finding:
    runs = client.get_scheduled_flow_runs_for_deployments([deployment.id], limit=1)
    times = [run.expected_start_time for run in runs if run.expected_start_time is not None]
    if not times:
        return fail(
            "schedules",
            f"{deployment.name} has a schedule, but no scheduled run",
            "wait: Prefect's scheduler needs up to two minutes; then read prefect.log",
        )
    late = _now() - min(times)
    message = f"{deployment.name} runs next at {min(times):%Y-%m-%d %H:%M} UTC"
    if late > datetime.timedelta(minutes=15):
        return warn(
            "schedules",
            f"{deployment.name} is waiting since {min(times):%Y-%m-%d %H:%M} UTC",
            "check 'worker', 'pool' and 'slots'; it may also wait for another training to end",
        )
    return ok("schedules", message)


def _automation(client: SyncPrefectClient) -> Finding:
    found = client.read_automations_by_name(CRASH_SILENT_RUNS)
    if not found:
        return fail("automation", f"'{CRASH_SILENT_RUNS}' is missing", "cnn-pipeline deploy")
    if not found[0].enabled:
        remedy = f"prefect automation resume --id {found[0].id}"
        return warn("automation", f"'{CRASH_SILENT_RUNS}' is disabled", remedy)
    return ok(
        "automation", f"runs without a heartbeat for {SILENCE.seconds} s are marked as crashed"
    )


def _open_runs(client: SyncPrefectClient) -> list[FlowRun]:
    """Runs that are running, pending or being cancelled: the states that hold a slot."""
    from prefect.client.schemas.filters import FlowRunFilter

    states = {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}
    return client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate({"state": states}))


def _runs(client: SyncPrefectClient, addresses: Addresses) -> list[Finding]:
    runs = _open_runs(client)
    stuck = [(run, why) for run in runs if (why := _stuck(client, run)) is not None]
    remedy = "prefect flow-run cancel {id}, or set its state in the UI at {page}"
    return [
        fail(
            "runs",
            f"{run.name} {why}",
            remedy.format(id=run.id, page=f"{addresses.prefect}/runs/flow-run/{run.id}"),
        )
        for run, why in stuck
    ] or [ok("runs", f"{len(runs)} active, none is stuck")]


def _stuck(client: SyncPrefectClient, run: FlowRun) -> str | None:
    from prefect.client.schemas.objects import StateType

    assert run.state is not None
    age = _now() - run.state.timestamp
    if run.state.type == StateType.PENDING and age > _PENDING:
        return f"has been Pending for {duration(age.total_seconds())}: its worker was lost"
    if run.state.type == StateType.CANCELLING and age > _CANCELLING:
        return f"has been Cancelling for {duration(age.total_seconds())}: its process is gone"
    if run.state.type == StateType.RUNNING and age > 2 * SILENCE and not _alive(client, run):
        return f"has been Running for {duration(age.total_seconds())} without a heartbeat"
    return None


def _alive(client: SyncPrefectClient, run: FlowRun) -> bool:
    answer = client.request(
        "POST",
        "/events/filter",
        json={
            "filter": {
                "event": {"name": [HEARTBEAT]},
                "resource": {"id": [f"prefect.flow-run.{run.id}"]},
                "occurred": {"since": (_now() - 2 * SILENCE).isoformat()},
            },
            "limit": 1,
        },
    )
    return bool(answer.json()["events"])


def _slots(client: SyncPrefectClient, deployments: list[DeploymentResponse]) -> list[Finding]:
    """Find slots that no active run holds: they block the next run."""
    under_way = Counter(run.deployment_id for run in _open_runs(client))
    found = [
        fail(
            "slots",
            f"{deployment.name} holds {limit.active_slots} slots for {under_way[deployment.id]} "
            "runs, so the next run never starts",
            f'prefect gcl update "{limit.name}" --active-slots {under_way[deployment.id]}',
        )
        for deployment in deployments
        if (limit := deployment.global_concurrency_limit) is not None
        and limit.active_slots > under_way[deployment.id]
    ]
    return found or [ok("slots", "every slot in use belongs to a run")]


def _slugs_of_file() -> dict[str, set[str]]:
    """The slugs of each deployment's schedules in `prefect.yaml`, by the deployment's name."""
    document: dict[str, Any] = yaml.safe_load(
        (project_root() / "prefect.yaml").read_text(encoding="utf-8")
    )
    return {
        item["name"]: {schedule["slug"] for schedule in item.get("schedules", ())}
        for item in document["deployments"]
    }


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
