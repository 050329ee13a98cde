"""Checks on Prefect's server: pool, worker, schedules, automation, stuck runs and slots."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import TYPE_CHECKING, Any

import yaml

from cnn_pipeline.services.addresses import POOL, project_root
from cnn_pipeline.services.automations import CRASH_SILENT_RUNS, SILENCE
from cnn_pipeline.services.deploying import own_deployments
from cnn_pipeline.services.doctor.finding import Finding, fail, ok, warn
from cnn_pipeline.services.doctor.runs import check_runs
from cnn_pipeline.services.flow_runs import open_runs

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import WorkPool
    from prefect.client.schemas.responses import DeploymentResponse

# A worker asks for runs every few seconds, and loads the flow.
_STARTS = datetime.timedelta(minutes=1)


def check_prefect(client: SyncPrefectClient, start_worker: str) -> list[Finding]:
    """Run the checks that need an answering server. `start_worker` is how to start a worker."""
    from prefect.exceptions import ObjectNotFound

    try:
        pool = client.read_work_pool(POOL)
    except ObjectNotFound:
        return [fail("pool", f"there is no work pool {POOL}", "create it: cnn-pipeline deploy")]
    deployments = own_deployments(client)
    return [
        *_pool(client, pool),
        _worker(client, start_worker),
        *_schedules(client, deployments),
        _automation(client),
        *check_runs(client),
        *_slots(client, deployments),
    ]


def _pool(client: SyncPrefectClient, pool: WorkPool) -> list[Finding]:
    found = []
    if pool.is_paused:
        remedy = f"prefect work-pool resume {POOL}, or the switch in Prefect's UI"
        found.append(warn("pool", f"{POOL} is paused, so no run starts", remedy))
    if pool.concurrency_limit == 0:
        remedy = f"prefect work-pool clear-concurrency-limit {POOL}"
        found.append(fail("pool", f"the limit of {POOL} is 0 runs, so no run starts", remedy))
    for queue in client.read_work_queues(work_pool_name=POOL):
        if queue.is_paused:
            remedy = f"prefect work-queue resume {queue.name} --pool {POOL}"
            found.append(warn("pool", f"its queue {queue.name} is paused", remedy))
        if queue.concurrency_limit == 0:
            remedy = f"prefect work-queue clear-concurrency-limit {queue.name} --pool {POOL}"
            found.append(fail("pool", f"the limit of its queue {queue.name} is 0 runs", remedy))
    return found or [ok("pool", f"{POOL} and its queues are open")]


def _worker(client: SyncPrefectClient, start: str) -> Finding:
    from prefect.client.schemas.objects import WorkerStatus

    workers = client.read_workers_for_work_pool(POOL)
    online = [worker.name for worker in workers if worker.status == WorkerStatus.ONLINE]
    if online:
        return ok("worker", f"online: {', '.join(online)}")
    return fail(
        "worker",
        "no worker has sent a heartbeat lately, so no run starts",
        f"start one: {start}",
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
    first = min(times)
    shown = f"{first:%Y-%m-%d %H:%M} UTC"
    if first > _now():
        return ok("schedules", f"{deployment.name} runs next at {shown}")
    if _now() - first < _STARTS:
        return ok("schedules", f"{deployment.name} is about to start, since {shown}")
    return warn(
        "schedules",
        f"{deployment.name} should have begun at {shown}, and has not",
        "check 'worker', 'pool' and 'slots'; it may also wait for another training to end",
    )


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


def _slots(client: SyncPrefectClient, deployments: list[DeploymentResponse]) -> list[Finding]:
    """Find slots that no active run holds: they block the next run."""
    under_way = Counter(run.deployment_id for run in open_runs(client))
    found = [
        fail(
            "slots",
            f"the limit of {deployment.name} is 0 runs, so its runs never start",
            f'prefect gcl update "{limit.name}" --limit 1',
        )
        for deployment in deployments
        if (limit := deployment.global_concurrency_limit) is not None and limit.limit == 0
    ]
    found += [
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
