"""`up`, deployments, schedules, the trigger, `doctor` and `down`: real servers, real runs.

One set of servers serves the whole file, so the tests stand in the order of a week: started,
used, edited, damaged, stopped, started again.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running as RunningState

from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.registry import CHAMPION, registered_name
from cnn_pipeline.experiment.data_card import prepare_data
from cnn_pipeline.services.addresses import (
    POOL,
    Addresses,
    Ports,
    ServiceFolder,
)
from cnn_pipeline.services.automations import CRASH_SILENT_RUNS, install_automations
from cnn_pipeline.services.loopback import HOST, free_port
from cnn_pipeline.services.notifying import CRASHED, MISSED, install_notifications
from cnn_pipeline.services.processes import is_running
from cnn_pipeline.services.running import Record, running
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Training, Variant
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.store import Store
from tests.champion.retraining.stored import log_run
from tests.e2e.webhook import Webhook
from tests.running import DEADLINE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SAMPLE = {"data": "fashion-mnist-sample"}
TRAINING_QUEUE = "training"
NAMES = {"train-variants", "retrain", "watch-data"}


@dataclass(frozen=True)
class Services:
    """The services of one home, driven by the command line as a user does."""

    home: Home
    ports: Ports

    def words(self, *words: str, home: Path | None = None) -> list[str]:
        place = str(home or self.home.root)
        return [sys.executable, "-m", "cnn_pipeline.cli", *words, "--home", place]

    @property
    def environ(self) -> dict[str, str]:
        """Of a shell that knows nothing of any server."""
        foreign = ("PREFECT_", "MLFLOW_", "CNN_PIPELINE_")
        own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return {**own, "CNN_PIPELINE_CACHE": str(self.home.root / "cache")}

    def cli(self, *words: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*words, home=home),
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=300,
        )

    @property
    def up(self) -> tuple[str, ...]:
        ports = (str(self.ports.prefect), str(self.ports.mlflow))
        return ("up", "--prefect-port", ports[0], "--mlflow-port", ports[1])

    @property
    def addresses(self) -> Addresses:
        return Addresses(
            f"http://{HOST}:{self.ports.prefect}", f"http://{HOST}:{self.ports.mlflow}"
        )

    def client(self) -> SyncPrefectClient:
        return SyncPrefectClient(self.addresses.prefect_api)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Brought up in the foreground, as in a terminal that stays open."""
    home = Home(tmp_path_factory.mktemp("up") / "home with späces")
    made = Services(home, Ports(free_port(), free_port()))
    process = subprocess.Popen(
        made.words(*made.up), env=made.environ, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        said = [process.stdout.readline() for _ in range(5)]
        assert said[0] == f"Prefect:  {made.addresses.prefect}\n"
        assert said[1] == f"MLflow:   {made.addresses.mlflow}\n"
        assert said[4] == "Press Ctrl-C to stop.\n"
        yield made
    finally:
        made.cli("down")
        process.wait(timeout=60)


@pytest.fixture
def client(services: Services) -> Iterator[SyncPrefectClient]:
    with services.client() as made:
        yield made


def eventually(what: str, condition: Callable[[], bool]) -> None:
    """Ask twice a second, so that the servers have time left for what is waited for."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"waited {DEADLINE} s for: {what}"
        time.sleep(0.5)


def deployment(client: SyncPrefectClient, name: str) -> DeploymentResponse:
    return client.read_deployment_by_name(f"{name}/{name}")


def ended(client: SyncPrefectClient, run: FlowRun) -> FlowRun:
    def final() -> bool:
        state = client.read_flow_run(run.id).state
        return state is not None and state.is_final()

    eventually(f"{run.name} has ended", final)
    return client.read_flow_run(run.id)


def run_now(client: SyncPrefectClient, name: str, parameters: dict[str, Any]) -> FlowRun:
    made = client.create_flow_run_from_deployment(
        deployment(client, name).id, parameters=parameters
    )
    return ended(client, made)


def runs_of(client: SyncPrefectClient, name: str) -> list[FlowRun]:
    found = FlowRunFilter.model_validate(
        {"deployment_id": {"any_": [str(deployment(client, name).id)]}}
    )
    return client.read_flow_runs(flow_run_filter=found)


def message(run: FlowRun) -> str:
    assert run.state is not None
    return f"{run.state.name}: {run.state.message}"


@pytest.fixture(scope="module")
def cron_slot(services: Services) -> datetime.datetime:
    """A schedule a minute ahead, made early, so that it fires while other tests run."""
    slot = datetime.datetime.now(datetime.UTC).replace(second=0, microsecond=0)
    slot += datetime.timedelta(minutes=2 if datetime.datetime.now().second > 30 else 1)
    with services.client() as client:
        made = deployment(client, "watch-data")
        schedule = CronSchedule(cron=f"{slot.minute} {slot.hour} * * *", timezone="UTC")
        # As Prefect's UI makes one: without a slug.
        client.request(
            "POST",
            f"/deployments/{made.id}/schedules",
            json=[
                {
                    "schedule": schedule.model_dump(mode="json"),
                    "active": True,
                    "parameters": SAMPLE,
                }
            ],
        )
    return slot


@dataclass(frozen=True)
class Told:
    """A webhook that the deployment `retrain` notifies, of two runs that are under way."""

    webhook: Webhook
    slot: datetime.datetime
    """Of a cron schedule of `retrain`; its data are not there."""
    unattended: FlowRun
    """Due, and in a queue from which no worker takes it."""

    def texts(self) -> list[str]:
        return [message["text"] for message in self.webhook.messages]


@pytest.fixture(scope="module")
def told(services: Services, cron_slot: datetime.datetime) -> Iterator[Told]:
    """Made early, like `cron_slot`."""
    webhook = Webhook()
    with temporary_settings({PREFECT_API_URL: services.addresses.prefect_api}):
        CustomWebhookNotificationBlock(
            name="team", url=webhook.url, json_data={"text": "{{subject}}: {{body}}"}
        ).save("team")
    notify = {"blocks": ["custom-webhook/team"], "on": ["stopped", "missed"]}
    with services.client() as client:
        made = deployment(client, "retrain")
        client.update_deployment(made.id, DeploymentUpdate(parameters={"notify": notify}))
        install_notifications(client, late=datetime.timedelta(seconds=10))
        schedule = CronSchedule(cron=f"{cron_slot.minute} {cron_slot.hour} * * *", timezone="UTC")
        client.request(
            "POST",
            f"/deployments/{made.id}/schedules",
            json=[
                {
                    "schedule": schedule.model_dump(mode="json"),
                    "active": True,
                    "slug": "soon",
                    "parameters": {"data": str(services.home.root / "gone.npz")},
                }
            ],
        )
        client.create_work_queue(name="unattended", work_pool_name=POOL, is_paused=True)
        run = client.create_flow_run_from_deployment(made.id, work_queue_name="unattended")
        yield Told(webhook, cron_slot, run)
    webhook.server.shutdown()


def test_everything_is_deployed(
    services: Services, client: SyncPrefectClient, cron_slot: datetime.datetime
) -> None:
    assert {item.name for item in client.read_deployments()} == NAMES
    assert client.read_work_pool(POOL).type == "process"
    queues = {queue.name: queue.concurrency_limit for queue in client.read_work_queues()}
    assert queues == {"default": None, TRAINING_QUEUE: None, "watching": None}
    retrain = deployment(client, "retrain")
    assert [(item.slug, item.active) for item in retrain.schedules] == [("weekly", True)]
    assert retrain.global_concurrency_limit is not None
    assert retrain.global_concurrency_limit.limit == 1
    for item in client.read_deployments():
        env = item.job_variables["env"]
        assert env["CNN_PIPELINE_DEPLOYED_WITH"] == services.addresses.mlflow
        assert "MLFLOW_TRACKING_URI" not in env
        assert str(services.home.root) not in json.dumps(item.pull_steps)
        assert str(Path.cwd()) not in json.dumps(item.pull_steps)


def test_the_parameters_are_a_form_with_bounds_and_descriptions(client: SyncPrefectClient) -> None:
    schema = deployment(client, "train-variants").parameter_openapi_schema
    assert schema is not None
    workers = schema["properties"]["workers"]
    assert (workers["minimum"], workers["maximum"]) == (0, 64)
    assert schema["properties"]["epochs"]["minimum"] == 0
    assert all(item.get("description") for item in schema["properties"].values())


def test_notifications_are_made_from_the_deployments_parameters(
    client: SyncPrefectClient, told: Told
) -> None:
    """'failed' is not wanted, so there is only one automation; twice is once."""
    install_notifications(client, late=datetime.timedelta(seconds=10))
    assert len(client.read_automations_by_name(MISSED)) == 1
    assert client.read_automations_by_name(CRASHED) == []


def test_pages_of_other_origins_cannot_start_runs(services: Services) -> None:
    api = services.addresses.prefect_api
    refused = httpx.post(
        f"{api}/flow_runs/filter", json={}, headers={"Origin": "http://evil.example"}
    )
    assert refused.status_code == httpx.codes.FORBIDDEN
    answer = httpx.get(f"{api}/health", headers={"Origin": "http://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
    for address in (f"{services.addresses.prefect}/", f"{services.addresses.mlflow}/"):
        assert httpx.get(address, follow_redirects=True).status_code == httpx.codes.OK


def test_a_second_up_says_what_runs(services: Services) -> None:
    done = services.cli(*services.up)
    assert done.returncode == 0
    assert "already running" in done.stdout and services.addresses.prefect in done.stdout


def test_ports_in_use_are_named(services: Services, tmp_path: Path) -> None:
    done = services.cli(*services.up, home=tmp_path / "other")
    assert done.returncode == 2
    assert f"port {services.ports.prefect} must be free" in done.stderr
    assert f"port {services.ports.mlflow} must be free" in done.stderr
    assert "another Prefect server uses it" in done.stderr
    assert "--prefect-port N" in done.stderr and "--mlflow-port N" in done.stderr


def test_a_run_by_hand_is_executed_by_the_worker(client: SyncPrefectClient) -> None:
    run = run_now(client, "watch-data", SAMPLE)
    assert message(run) == (
        "Completed: no champion of fashion-mnist-sample yet: nothing to compare with"
    )
    assert run.work_pool_name == POOL


def test_a_sweep_is_trained_by_the_worker_into_mlflow(
    services: Services, client: SyncPrefectClient
) -> None:
    from mlflow.tracking import MlflowClient

    sweep = Sweep(
        name="tiny",
        variant=Variant(filters=2, dense_units=16),
        training=Training(epochs=1),
        data=DataSettings(source="fashion-mnist-sample", train_limit=500),
    )
    run = run_now(client, "train-variants", {"sweep": sweep.model_dump(mode="json")})
    assert run.state is not None and run.state.is_completed(), message(run)
    store = MlflowClient(services.addresses.mlflow)
    (found,) = [item for item in store.search_experiments() if item.name != "Default"]
    tags = [item.data.tags for item in store.search_runs([found.experiment_id])]
    assert {item["prefect.flow_run_id"] for item in tags} == {str(run.id)}


def test_the_cron_schedule_has_fired(
    client: SyncPrefectClient, cron_slot: datetime.datetime
) -> None:
    # Before there is a champion: this run must not be the one that tells of changed data.
    def fired() -> list[FlowRun]:
        return [
            run
            for run in runs_of(client, "watch-data")
            if run.auto_scheduled and run.expected_start_time == cron_slot
        ]

    eventually("the slot has come", lambda: bool(fired()))
    (run,) = fired()
    run = ended(client, run)
    assert run.state is not None and run.state.is_completed(), message(run)
    # The worker's timer may end some milliseconds before the slot.
    assert run.start_time is not None
    assert run.start_time >= cron_slot - datetime.timedelta(seconds=1)


def test_a_cron_on_retrain_has_fired_and_people_are_told(
    client: SyncPrefectClient, told: Told
) -> None:
    def fired() -> list[FlowRun]:
        return [
            run
            for run in runs_of(client, "retrain")
            if run.auto_scheduled and run.expected_start_time == told.slot
        ]

    eventually("the slot has come", lambda: bool(fired()))
    run = ended(client, fired()[0])
    assert message(run).startswith("Stopped: the data of ") and "gone.npz" in message(run)
    eventually(
        "people are told", lambda: any(text.startswith("retrain: stopped") for text in told.texts())
    )


def test_people_are_told_of_a_run_that_no_worker_takes(
    client: SyncPrefectClient, told: Told
) -> None:
    eventually(
        "people are told", lambda: any(text.startswith("retrain: missed") for text in told.texts())
    )
    state = client.read_flow_run(told.unattended.id).state
    assert state is not None and state.name == "Late"
    # Nobody wants to be told any more: nothing of it stays.
    made = deployment(client, "retrain")
    client.update_deployment(made.id, DeploymentUpdate(parameters={}))
    install_notifications(client)
    assert client.read_automations_by_name(MISSED) == []
    client.delete_flow_run(told.unattended.id)
    (soon,) = [schedule for schedule in made.schedules if schedule.slug == "soon"]
    client.delete_deployment_schedule(made.id, soon.id)
    queue = client.read_work_queue_by_name("unattended", POOL)
    client.delete_work_queue_by_id(queue.id)


def test_changed_data_start_one_retraining(services: Services, client: SyncPrefectClient) -> None:
    crown_champion_of_other_data(services)
    queue = client.read_work_queue_by_name(TRAINING_QUEUE, POOL)
    client.update_work_queue(queue.id, is_paused=True)  # it shall begin, not train
    before = {run.id for run in runs_of(client, "retrain")}

    def begun() -> list[FlowRun]:
        return [
            run
            for run in runs_of(client, "retrain")
            if run.id not in before and not run.auto_scheduled
        ]

    try:
        first = run_now(client, "watch-data", SAMPLE)
        assert message(first).endswith("version 1: reported now")
        eventually("the event has started it", lambda: len(begun()) == 1)
        assert begun()[0].created_by is not None
        assert begun()[0].created_by.type == "AUTOMATION"
        again = run_now(client, "watch-data", SAMPLE)
        assert "version 1, as reported at 2" in message(again)
        assert len(begun()) == 1
    finally:
        for run in begun():
            client.delete_flow_run(run.id)
        client.update_work_queue(queue.id, is_paused=False)


def crown_champion_of_other_data(services: Services) -> None:
    """A champion whose file is no network: nobody loads it here."""
    from mlflow.tracking import MlflowClient

    card = prepare_data(DataSettings(source="fashion-mnist-sample"), services.home.root)
    stored = log_run(Store(services.home.database_uri, services.home.artifacts_uri), b"weights")
    # Past the server, which takes only files of a run or a logged model.
    store = MlflowClient(services.home.database_uri, services.home.database_uri)
    name = registered_name(card.name)
    store.create_registered_model(name)
    version = store.create_model_version(
        name,
        source=store.get_logged_model(stored.model_id).artifact_location,
        tags={
            names.MODEL_ID: stored.model_id,
            names.MODEL_SHA256: stored.sha256,
            names.DATASET: card.name,
            names.DATA_DIGEST: "1" * 64,
            names.CLASS_NAMES: json.dumps(card.class_names),
            names.IMAGE_SHAPE: "28x28x1",
        },
    )
    store.set_registered_model_alias(name, CHAMPION, version.version)


def test_deploying_again_doubles_nothing_and_keeps_what_the_ui_has_changed(
    services: Services, client: SyncPrefectClient
) -> None:
    weekly = deployment(client, "retrain").schedules[0]
    client.update_deployment_schedule(deployment(client, "retrain").id, weekly.id, active=False)
    hourly = next(s for s in deployment(client, "watch-data").schedules if s.slug == "hourly")
    client.update_deployment_schedule(deployment(client, "watch-data").id, hourly.id, active=False)
    client.update_deployment(
        deployment(client, "watch-data").id, DeploymentUpdate(parameters=SAMPLE)
    )
    before = {item.name: item for item in client.read_deployments()}

    done = services.cli("deploy")  # the second time: `up` was the first
    assert done.returncode == 0, done.stderr

    after = {item.name: item for item in client.read_deployments()}
    assert {name: item.id for name, item in after.items()} == {
        name: item.id for name, item in before.items()
    }
    for name, item in after.items():
        assert {(s.id, s.active) for s in item.schedules} == {
            (s.id, s.active) for s in before[name].schedules
        }
        assert item.parameters == before[name].parameters
    assert [s.active for s in after["retrain"].schedules] == [False]
    assert len(after["watch-data"].schedules) == 2
    names = [item.name for item in client.read_automations()]
    assert sorted(names) == [CRASH_SILENT_RUNS, "retrain on changed data"]


def test_a_run_that_falls_silent_is_marked_as_crashed(
    services: Services, client: SyncPrefectClient
) -> None:
    install_automations(client, silence=datetime.timedelta(seconds=10))
    try:
        # A run whose process is gone: it was Running, and was heard of once.
        run = client.create_flow_run_from_deployment(
            deployment(client, "train-variants").id, state=RunningState()
        )
        client.request(
            "POST",
            "/events",
            json=[
                {
                    "id": str(uuid.uuid4()),
                    "occurred": datetime.datetime.now(datetime.UTC).isoformat(),
                    "event": "prefect.flow-run.heartbeat",
                    "resource": {"prefect.resource.id": f"prefect.flow-run.{run.id}"},
                    "related": [
                        {
                            "prefect.resource.id": f"prefect.flow.{run.flow_id}",
                            "prefect.resource.role": "flow",
                            "prefect.resource.name": "train-variants",
                        }
                    ],
                    "payload": {},
                }
            ],
        )
        assert message(ended(client, run)).startswith("Crashed: No heartbeat for 10 s")
    finally:
        install_automations(client)
    assert len(client.read_automations_by_name(CRASH_SILENT_RUNS)) == 1


def test_doctor_finds_all_well_and_a_dead_worker_is_started_again(services: Services) -> None:
    done = services.cli("doctor", "--json")
    said = json.loads(done.stdout)
    assert done.returncode == 0 and said["ok"], done.stdout
    levels = {(item["name"], item["level"]) for item in said["findings"]}
    assert {("worker", "ok"), ("pool", "ok"), ("slots", "ok"), ("runs", "ok")} <= levels
    paused = [item for item in said["findings"] if "weekly is paused" in item["message"]]
    assert paused and "prefect deployment schedule resume" in paused[0]["remedy"]

    def worker() -> int:
        record = Record.load(ServiceFolder.of(services.home))
        assert record is not None
        return record.services["worker"].pid if is_running(record.services["worker"]) else 0

    dead = worker()
    os.killpg(dead, signal.SIGKILL)
    eventually("another worker runs", lambda: worker() not in (0, dead))


def test_a_stop_and_a_start_lose_nothing(services: Services) -> None:
    with services.client() as client:
        runs = {run.id: run.state_name for run in client.read_flow_runs() if run.end_time}
        deployments = {item.name: (item.id, item.parameters) for item in client.read_deployments()}
        paused = deployment(client, "retrain").schedules[0]
    record = Record.load(ServiceFolder.of(services.home))
    assert record is not None

    os.kill(record.supervisor.pid, signal.SIGINT)  # Ctrl-C
    eventually("all has ended", lambda: not record.supervisor.alive)
    assert not any(is_running(leader) for leader in record.services.values())
    assert processes_of(services.home) == []
    assert running(services.home) is None
    assert services.cli("doctor").returncode == 0  # to rest is no fault

    assert services.cli(*services.up, "--detach").returncode == 0
    with services.client() as client:
        kept = {run.id: run.state_name for run in client.read_flow_runs() if run.end_time}
        assert runs.items() <= kept.items()
        assert {
            item.name: (item.id, item.parameters) for item in client.read_deployments()
        } == deployments
        (schedule,) = deployment(client, "retrain").schedules
        assert (schedule.id, schedule.active) == (paused.id, False)
        run = run_now(client, "watch-data", SAMPLE)
        assert message(run).startswith("Completed: the data differ")


def test_down_ends_everything(services: Services) -> None:
    assert processes_of(services.home) != []
    assert services.cli("down").stdout == "stopped\n"
    assert processes_of(services.home) == []
    assert services.cli("down").stdout.startswith("nothing runs")


def processes_of(home: Home) -> list[str]:
    """Command lines of the processes that know this home from their environment."""
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["environ", "cmdline"])
        if process.info["cmdline"] and str(home.root) in str(process.info["environ"])
    ]
