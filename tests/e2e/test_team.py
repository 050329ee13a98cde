"""A team's servers on PostgreSQL, and workers that somebody started: real servers, real runs.

The tests stand in the order in which a team would do it: deploy, start workers, train, check.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import Abort, ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Crashed, Running

from cnn_pipeline.base.home import Home
from cnn_pipeline.services.addresses import POOL
from cnn_pipeline.services.automations import CRASH_SILENT_RUNS
from cnn_pipeline.services.loopback import HOST, free_port, wait_until_healthy
from cnn_pipeline.services.mlflow_ui import server_environment
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.tracking import names
from tests.e2e import postgres
from tests.faults.nodes import head
from tests.flows.test_flow import environment
from tests.recording import Recorded
from tests.running import DEADLINE, ENDLESS, QUICK, SAMPLE, descendants, one_trial, stop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Team:
    """The addresses of a team's servers, and how its members call commands."""

    folder: Path
    prefect: str
    mlflow: str

    def environ(self, **more: str) -> dict[str, str]:
        own = {"PREFECT_API_URL": f"{self.prefect}/api", "DO_NOT_TRACK": "1"}
        cache = {"CNN_PIPELINE_CACHE": str(self.folder / "cache")}
        return {**environment(self.folder), **own, **cache, **more}

    def call(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=ROOT, env=self.environ(**more), capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    def client(self) -> SyncPrefectClient:
        return SyncPrefectClient(f"{self.prefect}/api")

    def home(self, name: str) -> Home:
        return Home(self.folder / name)


def server(words: list[str], environ: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *words], env=environ, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Both servers, as docs/how-to/several-machines.md starts them."""
    folder = tmp_path_factory.mktemp("team")
    ports = free_port(), free_port()
    made = Team(folder, *(f"http://{HOST}:{port}" for port in ports))
    with ExitStack() as stack:
        programs = postgres.programs()
        if programs is None:
            stores = f"sqlite+aiosqlite:///{folder}/p.db", f"sqlite:///{folder}/m.db"
        else:
            host = stack.enter_context(postgres.cluster(programs, ("prefect", "mlflow"))).host
            stores = f"postgresql+asyncpg://{host}/prefect", f"postgresql://{host}/mlflow"
        environ = {
            **environment(folder),
            "PREFECT_API_URL": f"{made.prefect}/api",
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": stores[0],
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            **server_environment(stores[1], None),
        }
        prefect = ["prefect", "server", "start", "--host", HOST, "--port", str(ports[0])]
        mlflow = [
            "mlflow", "server", "--host", HOST, "--port", str(ports[1]), "--workers", "1",
            "--artifacts-destination", str(folder / "artifacts"),
        ]  # fmt: skip
        started = {}
        for words, address in ((prefect, f"{made.prefect}/api"), (mlflow, made.mlflow)):
            log = folder / f"{words[0]}.log"
            started[address] = process = server(words, environ, log)
            stack.callback(stop, process)
        for address, process in started.items():
            assert wait_until_healthy(address, process, DEADLINE), address
        yield made


def eventually(what: str, condition: Callable[[], bool], within: float = DEADLINE) -> None:
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"waited {within} s for: {what}"
        time.sleep(0.5)


def start(team: Team, name: str, parameters: dict[str, Any]) -> FlowRun:
    with team.client() as client:
        deployment = client.read_deployment_by_name(f"{name}/{name}")
        return client.create_flow_run_from_deployment(deployment.id, parameters=parameters)


def state(team: Team, run: FlowRun) -> str:
    """'Name: message' of a run's state."""
    with team.client() as client:
        found = client.read_flow_run(run.id).state
    assert found is not None
    return f"{found.name}: {found.message}"


def runs_of(team: Team, sweep: str) -> list[Run]:
    """Runs of all sweeps of this name, and of their trials."""
    store = MlflowClient(team.mlflow)
    experiments = [item.experiment_id for item in store.search_experiments()]
    return list(store.search_runs(experiments, f"tags.{names.SWEEP_ID} LIKE '{sweep}-%'"))


def endless(name: str) -> dict[str, Any]:
    sweep = one_trial(ENDLESS).model_copy(update={"name": name})
    return {"sweep": sweep.model_dump(mode="json"), "workers": 1}


def without_ids(value: Any, names: dict[UUID, str]) -> Any:
    """A value without the ids that differ from server to server; those of deployments as names."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if key not in ("id", "created", "updated")}
        return {key: without_ids(item, names) for key, item in kept.items()}
    if isinstance(value, (list, tuple)):
        return [without_ids(item, names) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    text = str(value)
    for found, name in names.items():
        text = text.replace(str(found), name)
    return text


def deployed(client: SyncPrefectClient) -> dict[str, Any]:
    """All that deploying has made."""
    deployments = sorted(client.read_deployments(), key=lambda item: item.name)
    names = {item.id: item.name for item in deployments}
    fields = {
        "name", "description", "entrypoint", "parameters", "parameter_openapi_schema",
        "job_variables", "pull_steps", "work_pool_name", "work_queue_name", "concurrency_options",
    }  # fmt: skip
    return {
        "deployments": [item.model_dump(include=fields) for item in deployments],
        "schedules": [
            (item.name, one.slug, one.schedule.model_dump(), one.active)
            for item in deployments
            for one in item.schedules
        ],
        "limits": [
            item.global_concurrency_limit and item.global_concurrency_limit.limit
            for item in deployments
        ],
        "queues": {
            queue.name: queue.concurrency_limit
            for queue in client.read_work_queues(work_pool_name=POOL)
        },
        "automations": sorted(
            (without_ids(item.model_dump(), names) for item in client.read_automations()),
            key=lambda item: str(item["name"]),
        ),
    }


def test_a_plain_deploy_gives_the_same_as_ours(team: Team) -> None:
    with_password = {"MLFLOW_TRACKING_URI": team.mlflow.replace("//", "//me:secret@")}
    missing = team.call("cnn_pipeline.cli", "doctor", "--home", str(team.home("desk").root))
    assert "there is no work pool cnn-pipeline" in missing.stdout

    made = team.call("prefect", "work-pool", "create", POOL, "--type", "process")
    assert made.returncode == 0, made.stdout + made.stderr
    done = team.call("prefect", "--no-prompt", "deploy", "--all", **with_password)
    assert done.returncode == 0, done.stdout + done.stderr
    with team.client() as client:
        plain = deployed(client)
        assert [item["name"] for item in plain["deployments"]] == [
            "retrain", "train-variants", "watch-data",
        ]  # fmt: skip
        for item in plain["deployments"]:
            server = team.mlflow.replace("//", "//***@")
            assert item["job_variables"]["env"]["CNN_PIPELINE_DEPLOYED_WITH"] == server
            assert "MLFLOW_TRACKING_URI" not in item["job_variables"]["env"]
        assert plain["queues"] == {"default": None, "training": None, "watching": None}
        assert [item["name"] for item in plain["automations"]] == [
            CRASH_SILENT_RUNS, "retrain on changed data",
        ]  # fmt: skip
        for deployment in client.read_deployments():
            client.delete_deployment(deployment.id)
        for automation in client.read_automations():
            client.delete_automation(automation.id)
        client.delete_work_pool(POOL)

        done = team.call("cnn_pipeline.cli", "deploy", **with_password)
        assert done.returncode == 0, done.stderr
        assert f"Deployed to {team.prefect}/api." in done.stdout
        assert "secret" not in done.stdout + done.stderr
        assert deployed(client) == plain


@contextmanager
def worker(team: Team, name: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as a person starts it; at the end it is stopped and forgotten."""
    words = ["prefect", "worker", "start", "--pool", POOL, "--name", name]
    environ = team.environ(CNN_PIPELINE_HOME=str(team.home(name).root), **more)
    process = server(words, environ, team.folder / f"{name}.log")
    try:
        yield process
    finally:
        stop(process)
        with team.client() as client, suppress(ObjectNotFound):  # else online for 90 s
            client.request("DELETE", f"/work_pools/{POOL}/workers/{name}")


@pytest.fixture(scope="module")
def deployments(team: Team) -> None:
    """What the first test leaves; made here for a test that runs without it."""
    with team.client() as client:
        made = client.read_deployments()
    if not made:
        done = team.call("cnn_pipeline.cli", "deploy", MLFLOW_TRACKING_URI=team.mlflow)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def two_workers(team: Team, deployments: None) -> Iterator[None]:
    own = {"MLFLOW_TRACKING_URI": team.mlflow, "PREFECT_WORKER_QUERY_SECONDS": "3"}
    with worker(team, "here", **own), worker(team, "there", **own):
        yield


@pytest.mark.usefixtures("deployments")
def test_a_worker_without_a_tracking_server_refuses_and_writes_nothing(
    team: Team,
) -> None:
    with worker(team, "careless"):
        run = start(team, "train-variants", endless("refused"))
        eventually("it has failed", lambda: state(team, run).startswith("Failed"))
    assert state(team, run).startswith("Failed: MLFLOW_TRACKING_URI must be set where the worker")
    assert not team.home("careless").mlruns.exists()


@pytest.mark.usefixtures("deployments")
def test_a_cron_on_retrain_fires_and_a_worker_of_ones_own_promotes(
    team: Team,
) -> None:
    # The server plans within seconds what has just changed, or within a minute if it misses that.
    slot = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=150)
    slot = slot.replace(second=0, microsecond=0)
    cron = CronSchedule(cron=f"{slot.minute} {slot.hour} * * *", timezone="UTC")
    candidates = {
        "sweep": "smoke", "filters": [4], "pooling": ["max"], "seeds": [0], "epochs": 1,
        "data": "fashion-mnist-sample", "workers": 1,
    }  # fmt: skip
    with team.client() as client:
        deployment = client.read_deployment_by_name("retrain/retrain")
        body = {"schedule": cron.model_dump(mode="json"), "active": True, "slug": "soon"}
        client.request(
            "POST",
            f"/deployments/{deployment.id}/schedules",
            json=[{**body, "parameters": candidates}],
        )

    def fired() -> list[FlowRun]:
        with team.client() as client:
            found = client.read_flow_runs(
                deployment_filter=DeploymentFilter(id={"any_": [deployment.id]})
            )
        return [r for r in found if r.auto_scheduled and r.expected_start_time == slot]

    own = {"MLFLOW_TRACKING_URI": team.mlflow, "PREFECT_WORKER_QUERY_SECONDS": "3"}
    with worker(team, "weekly", **own):
        eventually("it is planned", lambda: bool(fired()))
        (run,) = fired()
        ended = 150 + DEADLINE
        eventually("it has ended", lambda: state(team, run).startswith("Promoted"), within=ended)
    assert "is the first champion" in state(team, run)
    champion = MlflowClient(team.mlflow).get_model_version_by_alias(
        "fashion-mnist-sample-cnn", "champion"
    )
    assert champion.version == "1"


@pytest.mark.usefixtures("deployments")
def test_a_new_worker_goes_on_where_a_lost_machine_was(team: Team, recorded: Recorded) -> None:
    training = QUICK.model_copy(update={"epochs": 60})
    sweep = Sweep(
        name="lost", axes=Axes(filters=(2, 3)), seeds=(0,), training=training, data=SAMPLE
    )
    parameters = {"sweep": sweep.model_dump(mode="json"), "workers": 1}
    own = {"MLFLOW_TRACKING_URI": team.mlflow, "PREFECT_WORKER_QUERY_SECONDS": "3"}

    def runs() -> dict[str, list[Run]]:
        """By the name of the trial; the sweep's is ''."""
        found: dict[str, list[Run]] = {}
        for run in runs_of(team, "lost"):
            found.setdefault(run.data.tags.get(names.TRIAL, ""), []).append(run)
        return found

    def second_trains() -> bool:
        trials = [run for name, (run, *_) in runs().items() if name]
        return len(trials) == 2 and {run.info.status for run in trials} == {"FINISHED", "RUNNING"}

    with recorded("kill -9 of a worker and its run", "in the second trial", "I3 I6 I7") as row:
        with worker(team, "lost", **own) as process:
            lost = start(team, "train-variants", parameters)
            eventually("the second trial trains", second_trains)
            begin = time.monotonic()
            family = [psutil.Process(pid) for pid in (process.pid, *descendants(process.pid))]
            for one in family:
                one.suspend()
            for one in family:
                one.kill()
        with worker(team, "lost", **own):
            again = start(team, "train-variants", parameters)
            eventually("it has ended", lambda: state(team, again).startswith("Completed"))
        row.recovered(time.monotonic() - begin)
    assert {name: len(found) for name, found in runs().items()} == {
        "": 1, "f2-max-s0": 1, "f3-max-s0": 1,
    }  # fmt: skip
    assert {run.info.status for found in runs().values() for run in found} == {"FINISHED"}
    with team.client() as client:  # the automation does it after 180 s without a heartbeat
        client.set_flow_run_state(lost.id, Crashed(), force=True)


@pytest.mark.usefixtures("deployments")
def test_a_run_of_the_pool_trains_on_ray_and_is_cancelled(team: Team, tmp_path: Path) -> None:
    pytest.importorskip("ray")

    def trains() -> bool:
        now = state(team, run)
        assert not now.startswith(("Failed", "Crashed")), now
        return any("loss" in found.data.metrics for found in runs_of(team, "on-ray"))

    own = {"MLFLOW_TRACKING_URI": team.mlflow, "PREFECT_WORKER_QUERY_SECONDS": "3"}
    with head(tmp_path / "ray") as ray, worker(team, "on-ray", **own):
        advanced = {"engine": "ray", "ray_address": ray.address}
        run = start(team, "train-variants", {**endless("on-ray"), "advanced": advanced})
        eventually("it trains", trains)
        (trial,) = (one for one in runs_of(team, "on-ray") if names.TRIAL in one.data.tags)
        assert "Ray node" in trial.data.tags[names.NODE]
        with team.client() as client:
            client.set_flow_run_state(run.id, Cancelling())
        eventually("it is cancelled", lambda: state(team, run).startswith("Cancelled"))
        assert [found.info.status for found in runs_of(team, "on-ray")] == ["KILLED"] * 2


@pytest.mark.usefixtures("two_workers")
def test_two_workers_train_two_sweeps_at_once_and_a_third_waits(team: Team) -> None:
    holders = [team.home(name).state / "training.json" for name in ("here", "there")]
    runs = [start(team, "train-variants", endless(name)) for name in ("one", "two")]
    eventually("both train", lambda: all(holder.exists() for holder in holders))
    third = start(team, "train-variants", endless("three"))
    told = "Waiting: waits for another training under "
    eventually("the third waits", lambda: state(team, third).startswith(told))

    data = start(team, "watch-data", {"data": SAMPLE.source})
    eventually("the data are checked", lambda: state(team, data).startswith("Completed"))
    assert state(team, third).startswith(told)
    assert [state(team, run).split(":")[0] for run in runs] == ["Running", "Running"]

    # The kernel frees the lock of a killed training, and the third has its turn.
    waits_in = next(holder for holder in holders if str(holder.parents[2]) in state(team, third))
    os.kill(json.loads(waits_in.read_text())["pid"], signal.SIGKILL)
    eventually("its turn has come", lambda: state(team, third).startswith("Running"))

    store = MlflowClient(team.mlflow)
    experiments = [item.experiment_id for item in store.search_experiments()]
    sweeps = {run.data.tags["mlflow.runName"] for run in store.search_runs(experiments)}
    for name in ("one", "two"):
        assert any(sweep.startswith(name) for sweep in sweeps), sweeps
    assert not any(team.home(name).database.exists() for name in ("here", "there"))


@pytest.mark.usefixtures("deployments")
def test_a_run_that_was_handed_back_can_be_cancelled(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect asks the process of a run to end, and this one's is gone."""
    from flows import worker

    with team.client() as client:
        deployment = client.read_deployment_by_name("train-variants/train-variants")
        run = client.create_flow_run_from_deployment(deployment.id, state=Running())
        client.update_flow_run(run.id, infrastructure_pid="host:1")
        run = client.read_flow_run(run.id)
        monkeypatch.setattr(worker, "_another_worker_is_free", lambda *_: True)
        monkeypatch.setattr(worker, "get_run_logger", lambda: logging.getLogger("test"))
        with temporary_settings({PREFECT_API_URL: f"{team.prefect}/api"}), pytest.raises(Abort):
            worker._hand_back(run, "waits")
        assert state(team, run) == "AwaitingRetry: waits; another worker is free"
        client.set_flow_run_state(run.id, Cancelling())
    assert state(team, run).startswith("Cancelled")


@pytest.mark.usefixtures("two_workers")
def test_doctor_asks_the_servers_of_the_team(team: Team) -> None:
    home = str(team.home("desk").root)
    own = {"MLFLOW_TRACKING_URI": team.mlflow}
    done = team.call("cnn_pipeline.cli", "doctor", "--json", "--home", home, **own)
    findings = {item["name"]: item for item in json.loads(done.stdout)["findings"]}
    assert done.returncode == 0, done.stdout
    assert findings["store"]["message"] == f"{team.mlflow} answers: runs are written there"
    assert findings["mlflow"]["message"].startswith(f"{team.mlflow} answers, version 3.")
    assert findings["prefect"]["message"].startswith(f"{team.prefect}/api answers, version 3.")
    assert "here" in findings["worker"]["message"] and "there" in findings["worker"]["message"]
    assert not {"ports", "services"} & findings.keys()  # `up` is not what this team uses


def test_both_servers_are_on_postgresql(team: Team) -> None:
    postgres.programs_or_skip()
    assert not [*team.folder.glob("?.db")]
