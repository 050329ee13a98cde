"""Cancelled runs, with and without a restart of Prefect's server since they began.

One server and one worker of one's own serve the whole file. The server is really stopped and
started again while two runs train: a retraining of the worker, and a command's sweep.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterName,
    LogFilter,
    LogFilterFlowRunId,
    TaskRunFilter,
    TaskRunFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelled, Cancelling, State

from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.retraining.admission import only_one
from cnn_pipeline.services.deploying import ensure_pool
from cnn_pipeline.services.loopback import free_port, wait_until_healthy
from cnn_pipeline.settings.sweep import Sweep
from tests.flows.test_flow import environment
from tests.running import DEADLINE, ENDLESS, gone, one_trial, stop, trainers_below

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parent.parent.parent
SECONDS = 15
"""Within which a cancelled run's trainers must be gone."""


@dataclass
class Prefect:
    """A server that can be restarted, and the processes that use it."""

    folder: Path
    port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    server: subprocess.Popen[bytes] | None = None
    worker: subprocess.Popen[bytes] | None = None

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def client(self) -> SyncPrefectClient:
        return SyncPrefectClient(self.api)

    @property
    def environ(self) -> dict[str, str]:
        return environment(
            self.folder,
            PREFECT_API_URL=self.api,
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE=(
                "prefect.server.concurrency.lease_storage.filesystem"
            ),
            PREFECT_WORKER_QUERY_SECONDS="2",
            CNN_PIPELINE_CACHE=str(self.folder / "cache"),
        )

    def popen(self, *words: str) -> subprocess.Popen[bytes]:
        """A Python process with its output in a file, in a session of its own."""
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *words], cwd=ROOT, env=self.environ, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def output(self, process: subprocess.Popen[bytes]) -> str:
        return (self.folder / f"{self.processes.index(process)}.log").read_text()

    def start(self) -> None:
        self.server = self.popen(
            "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)
        )
        assert wait_until_healthy(self.api, self.server, DEADLINE)

    def restart(self) -> None:
        assert self.server is not None
        stop(self.server)
        self.start()

    def deploy(self) -> None:
        ensure_pool(self.client)
        words = ["--no-prompt", "deploy", "--name", "train-variants", "--name", "retrain"]
        assert self.popen("-m", "prefect", *words).wait(DEADLINE) == 0

    def flow_run(self, name: str) -> FlowRun:
        (found,) = self.client.read_flow_runs(
            flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=[name]))
        )
        return found

    def state(self, run: FlowRun) -> State[Any]:
        state = self.client.read_flow_run(run.id).state
        assert state is not None
        return state

    def tasks(self, run_id: UUID) -> dict[str, str]:
        """State and message of each task run."""
        ids = TaskRunFilterFlowRunId(any_=[run_id])
        found = self.client.read_task_runs(task_run_filter=TaskRunFilter(flow_run_id=ids))
        return {
            run.name: f"{run.state_name}: {run.state.message if run.state else ''}" for run in found
        }

    def log(self, run_id: UUID) -> str:
        ids = LogFilterFlowRunId(any_=[run_id])
        return "\n".join(x.message for x in self.client.read_logs(LogFilter(flow_run_id=ids)))


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    made = Prefect(tmp_path_factory.mktemp("prefect"))
    try:
        made.start()
        made.deploy()
        made.worker = made.popen(
            "-m", "prefect", "worker", "start", "--pool", "cnn-pipeline", "--type", "process"
        )
        yield made
    finally:
        for process in reversed(made.processes):
            if process.poll() is None:
                stop(process)


def eventually(condition: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
    """Ask a few times a second, so that the server has time left for what is waited for."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for: {what}"
        time.sleep(0.2)


def runs_of(home: Home) -> list[Run]:
    client = MlflowClient(home.database_uri)
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def trains(home: Home) -> bool:
    return any("val_loss" in run.data.metrics for run in runs_of(home))


def endless() -> Sweep:
    """Two trials, of which one at a time is trained."""
    return one_trial(ENDLESS).model_copy(update={"seeds": (0, 1)})


def new_home(folder: Path, store: Path) -> Home:
    """With its store: tests read it while the run begins."""
    home = Home(folder)
    home.artifacts.mkdir(parents=True)
    shutil.copy(store, home.database)
    return home


def start_deployment(prefect: Prefect, name: str, home: Home, **parameters: Any) -> FlowRun:
    client = prefect.client
    given = {**parameters, "workers": 1, "home": str(home.root)}
    return client.create_flow_run_from_deployment(
        client.read_deployment_by_name(name).id, parameters=given
    )


def ended(home: Home) -> dict[str, tuple[str, str | None]]:
    """How each run in MLflow ended, and why, by the name of its trial."""
    return {
        run.data.tags.get("trial", "sweep"): (run.info.status, run.data.tags.get("reason"))
        for run in runs_of(home)
    }


@dataclass(frozen=True)
class Restarted:
    """Two runs that were cancelled after a restart of Prefect's server."""

    retraining: FlowRun
    of_worker: Home
    command: FlowRun
    of_command: Home
    status: int
    screen: str


@pytest.fixture(scope="module")
def restarted(
    prefect: Prefect, tmp_path_factory: pytest.TempPathFactory, _migrated_store: Path
) -> Restarted:
    folder = tmp_path_factory.mktemp("restarted")
    homes = [new_home(folder / name, _migrated_store) for name in ("worker", "command")]
    given = {"sweep": endless().model_dump(mode="json")}
    retraining = start_deployment(prefect, "retrain/retrain", homes[0], **given)
    command = prefect.popen(
        "-m", "cnn_pipeline.cli", "run", "--home", str(homes[1].root), "--data",
        "fashion-mnist-sample", "--validation-size", "500", "--train-limit", "600", "--filters",
        "2", "--pooling", "max", "--threads", "1", "--epochs", "10000", "--batch-size", "64",
        "--seeds", "0,1", "--workers", "1",
    )  # fmt: skip
    eventually(lambda: all(map(trains, homes)), "both train")
    assert prefect.worker is not None
    trainers = trainers_below(prefect.worker.pid), trainers_below(command.pid)
    assert all(trainers)
    prefect.restart()
    runs = [retraining, prefect.flow_run("filters-and-pooling")]
    for run in runs:
        assert prefect.state(run).type == StateType.RUNNING
        prefect.client.set_flow_run_state(run.id, Cancelling())
    eventually(lambda: gone(trainers[0] | trainers[1]), "all trainers end", SECONDS)
    status = command.wait(DEADLINE)
    eventually(lambda: all(prefect.state(run).is_final() for run in runs), "both runs end")
    return Restarted(runs[0], homes[0], runs[1], homes[1], status, prefect.output(command))


def test_after_a_restart_everything_ends_as_cancelled(
    restarted: Restarted, prefect: Prefect
) -> None:
    for run, trial in ((restarted.retraining, "f2-max-d16"), (restarted.command, "f2-max")):
        state = prefect.state(run)
        assert (state.type, state.message) == (StateType.CANCELLED, "cancelled in Prefect")
        wanted = {
            f"train {trial}-s0": "Cancelled: cancelled in Prefect",
            f"train {trial}-s1": "Cancelled: not started: cancelled in Prefect",
        }
        eventually(
            lambda run=run, wanted=wanted: wanted.items() <= prefect.tasks(run.id).items(),  # type: ignore[misc]
            f"the tasks end as cancelled: {prefect.tasks(run.id)}",
        )
        assert "Traceback" not in prefect.log(run.id)
    for home, trial in ((restarted.of_worker, "f2-max-d16"), (restarted.of_command, "f2-max")):
        killed = ("KILLED", "cancelled in Prefect")
        assert ended(home) == {"sweep": killed, f"{trial}-s0": killed}


def test_the_screen_says_where_it_was_cancelled_and_how_to_go_on(restarted: Restarted) -> None:
    assert restarted.status == 130
    last = restarted.screen.strip().splitlines()[-1]
    assert last.startswith("error: cancelled in Prefect (http://127.0.0.1:")
    assert f"/runs/flow-run/{restarted.command.id}). " in last
    assert last.endswith("Run the same command again to go on.")
    assert "Traceback" not in restarted.screen


def test_a_cancelled_retraining_promotes_nothing_and_frees_lock_and_slot(
    restarted: Restarted, prefect: Prefect
) -> None:
    client = MlflowClient(restarted.of_worker.database_uri)
    assert not client.search_registered_models()
    with only_one(restarted.of_worker) as admitted:
        assert admitted.reason == ""
    limit = prefect.client.read_deployment_by_name("retrain/retrain").global_concurrency_limit
    assert limit is not None
    eventually(lambda: limit.active_slots == 0, "the slot is free")


def test_without_a_restart_the_worker_and_the_run_agree(prefect: Prefect, home: Home) -> None:
    """The worker sends its own signal at once, and the run ends as it does alone."""
    assert prefect.worker is not None
    sweep = endless().model_dump(mode="json")
    run = start_deployment(prefect, "train-variants/train-variants", home, sweep=sweep)
    eventually(lambda: trains(home), "it trains")
    trainers = trainers_below(prefect.worker.pid)
    prefect.client.set_flow_run_state(run.id, Cancelling())
    eventually(lambda: gone(trainers), "the trainers end", SECONDS)
    eventually(lambda: prefect.state(run).type == StateType.CANCELLED, "the run ends")
    eventually(
        lambda: [x.split(":")[0] for x in prefect.tasks(run.id).values()].count("Cancelled") == 2,
        f"both tasks end as cancelled: {prefect.tasks(run.id)}",
    )
    killed = ("KILLED", "cancelled in Prefect")
    assert ended(home) == {"sweep": killed, "f2-max-d16-s0": killed}
    assert "Traceback" not in prefect.log(run.id)


BLOCKED = """
import sys, time
from prefect.events.worker import EventsWorker
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.trainers import pool
from flows import tasks
from flows.train_variants import train_variants
from tests.running import Untrained
pool.TrainerPool = Untrained
setattr(tasks, sys.argv[1], lambda *_: time.sleep(600))
sweep = Sweep.model_validate_json(sys.argv[3])
state = train_variants(sweep, home=sys.argv[2], return_state=True)
# As the command does at its end: at that of the interpreter, Prefect may lose what is left.
EventsWorker.drain_all(timeout=60)
print("ended as", state.name)
"""


@pytest.mark.parametrize(
    ("step", "task", "state"),
    [("prepare_data", "fetch", Cancelling()), ("finish", "compare", Cancelled())],
)
def test_fetching_and_comparing_are_interrupted(
    step: str, task: str, state: State[Any], prefect: Prefect, home: Home
) -> None:
    """Also by whom the run is set to Cancelled at once."""
    sweep = one_trial().model_copy(update={"name": f"blocked-in-{step}"})
    process = prefect.popen("-c", BLOCKED, step, str(home.root), sweep.model_dump_json())

    def states() -> dict[str, str]:
        found = prefect.client.read_flow_runs(
            flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=[sweep.name]))
        )
        return {name.split()[0]: x for run in found for name, x in prefect.tasks(run.id).items()}

    eventually(lambda: states().get(task, "").startswith("Running"), f"{task} runs")
    run = prefect.flow_run(sweep.name)
    prefect.client.set_flow_run_state(run.id, state, force=True)
    assert process.wait(SECONDS) == 0
    assert prefect.output(process).splitlines()[-1] == "ended as Cancelled"
    eventually(lambda: states()[task] == "Cancelled: cancelled in Prefect", f"{task} ends")
    assert prefect.state(run).type == StateType.CANCELLED
    assert "Crash" not in prefect.log(run.id)
    if step == "finish":
        assert ended(home)["sweep"] == ("KILLED", "cancelled in Prefect")
