"""The Prefect flow, with a server that is there and with a temporary one."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.home import Home
from cnn_pipeline.settings.sweep import Sweep
from tests.running import (
    COMPUTED,
    COUNTING,
    DEADLINE,
    ENDLESS,
    TINY,
    counts_of_a_decision,
    descendants,
    free_port,
    gone,
    one_trial,
    wait_until,
)

# The flow in a process of its own: Prefect reads its settings once.
FLOW = """
import sys
from pathlib import Path
from cnn_pipeline.base import events
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.base.home import Home
from cnn_pipeline.cli.launch import run_flow

if __name__ == "__main__":
    heard = []
    with events.listening(heard.append):
        sweep = Sweep.model_validate_json(sys.argv[2])
        outcome = run_flow(sweep, Home(Path(sys.argv[1])), workers=2)
    started, = (event for event in heard if isinstance(event, events.SweepStarted))
    assert started.at_once == 2, started
    print(outcome.sweep_id, outcome.ok, outcome.parent_run_id)
"""

STATES = {
    "fetch fashion-mnist-sample": "COMPLETED",
    "train f2-max-d16-s0": "COMPLETED",
    "train f2-none-d16-do25-s0": "COMPLETED",
    "train diverging-s0": "FAILED",
}


def environment(folder: Path, **more: str) -> dict[str, str]:
    """This process's environment without what the user has set for Prefect and MLflow."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT", "MLFLOW_TRACKING", "CNN_PIPELINE"))
    }
    return {**kept, "PREFECT_HOME": str(folder / "prefect"), **more}


def run_flow(sweep: Sweep, home: Home, variables: dict[str, str]) -> tuple[str, str, str]:
    """Sweep id, whether all went well, and the parent run's id, as the flow's process tells."""
    done = subprocess.run(
        [sys.executable, "-c", FLOW, str(home.root), sweep.model_dump_json()],
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        env=variables,
    )
    assert done.returncode == 0, done.stderr
    sweep_id, ok, run_id = done.stdout.split()
    return sweep_id, ok, run_id


@dataclass(frozen=True)
class Finished:
    """A flow run of the tiny sweep on a server that outlives it."""

    api: str
    home: Home
    sweep_id: str
    ok: str
    parent_run_id: str

    def ask(self, what: str) -> list[dict[str, Any]]:
        """All records of a kind that the server has."""
        answer = httpx.post(f"{self.api}/{what}/filter", json={}, timeout=30)
        answer.raise_for_status()
        records: list[dict[str, Any]] = answer.json()
        return records


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Prefect server on loopback."""
    folder = tmp_path_factory.mktemp("server")
    port = str(free_port())
    log = (folder / "log.txt").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port],
        env=environment(folder, PREFECT_SERVER_ANALYTICS_ENABLED="false"),
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    api = f"http://127.0.0.1:{port}/api"

    def healthy() -> bool:
        assert process.poll() is None, (folder / "log.txt").read_text()
        try:
            return httpx.get(f"{api}/health", timeout=5).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    try:
        wait_until(healthy, "Prefect's server answers")
        yield api
    finally:
        family = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in family:
            if not gone({pid}):
                os.kill(pid, signal.SIGKILL)
        log.close()


@pytest.fixture(scope="module")
def finished(server: str, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The tiny sweep, run through the flow once."""
    home = Home(tmp_path_factory.mktemp("flow") / "home with späces")
    variables = environment(home.root.parent, PREFECT_API_URL=server)
    return Finished(server, home, *run_flow(TINY, home, variables))


ALONE = """
from pathlib import Path
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.trainers import pool
from flows.train_variants import train_variants
from tests.running import Untrained
pool.TrainerPool = Untrained
sweep = Sweep.model_validate_json(sys.argv[2])
state = train_variants(sweep, home=sys.argv[1], return_state=True)
print(json.dumps([state.name, state.message, len(Untrained.started), counts]))
"""


def test_a_flow_that_no_command_called_decides_once_itself(
    home: Home, tmp_path: Path, server: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNTING + ALONE, json.dumps(COMPUTED), str(home.root),
         one_trial().model_dump_json()],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env=environment(tmp_path, PREFECT_API_URL=server),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    name, message, pools, counts = json.loads(done.stdout)
    assert (name, message) == (
        "Failed", "1 of 1 trials failed: f2-max-d16-s0: not trained in this test",
    )  # fmt: skip
    assert pools == 1
    assert counts == counts_of_a_decision(trials=1)


@pytest.mark.slow
def test_each_trial_is_a_task_run_with_its_own_state(finished: Finished) -> None:
    (flow_run,) = finished.ask("flow_runs")
    assert (flow_run["name"], flow_run["state"]["type"]) == ("tiny", "FAILED")
    assert flow_run["state"]["message"].startswith("1 of 3 trials failed: diverging-s0: Diverged")
    task_runs = {run["name"]: run for run in finished.ask("task_runs")}
    compared = {name for name in task_runs if name.startswith("compare variants")}
    assert len(compared) == 1
    assert {name: task_runs[name]["state"]["type"] for name in task_runs.keys() - compared} == (
        STATES
    )
    assert {run["flow_run_id"] for run in task_runs.values()} == {flow_run["id"]}
    assert "lower the learning rate" in task_runs["train diverging-s0"]["state"]["message"]


@pytest.mark.slow
def test_leaderboard_verdict_and_link_are_artifacts(finished: Finished) -> None:
    artifacts = {a["key"]: a for a in finished.ask("artifacts") if a["key"]}
    assert {key: a["type"] for key, a in artifacts.items()} == {
        "progress": "progress",
        "leaderboard": "table",
        "verdict": "markdown",
        "mlflow": "markdown",
    }
    rows = json.loads(artifacts["leaderboard"]["data"])
    assert {row["variant"] for row in rows} == {"f2-max-d16", "f2-none-d16-do25", "diverging"}
    client = MlflowClient(finished.home.database_uri)
    parent = client.get_run(finished.parent_run_id)
    assert parent.data.tags["verdict"] in artifacts["verdict"]["data"]
    page = f"/#/experiments/{parent.info.experiment_id}/runs/{finished.parent_run_id}"
    assert page in artifacts["mlflow"]["data"]
    assert artifacts["progress"]["data"] == 100
    assert artifacts["progress"]["description"] == "3 of 3 trials have ended"


@pytest.mark.slow
def test_runs_in_mlflow_name_their_flow_run(finished: Finished) -> None:
    (flow_run,) = finished.ask("flow_runs")
    client = MlflowClient(finished.home.database_uri)
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiments)
    assert len(runs) == 4
    assert {run.data.tags["prefect.flow_run_id"] for run in runs} == {flow_run["id"]}
    assert {run.data.tags["sweep_id"] for run in runs} == {finished.sweep_id}
    assert finished.ok == "False"
    assert client.get_run(finished.parent_run_id).info.status == "FAILED"


@pytest.mark.slow
def test_without_a_server_a_temporary_one_serves(home: Home, tmp_path: Path) -> None:
    _, ok, run_id = run_flow(TINY, home, environment(tmp_path))
    assert ok == "False"
    tags = MlflowClient(home.database_uri).get_run(run_id).data.tags
    with sqlite3.connect(home.state / "prefect" / "prefect.db") as database:
        states = dict(database.execute("SELECT name, state_type FROM task_run"))
        flow_runs = database.execute("SELECT name, state_type, id FROM flow_run").fetchall()
        artifacts = database.execute("SELECT key FROM artifact WHERE key NOT NULL").fetchall()
    assert STATES.items() <= states.items()
    ((name, state, flow_run_id),) = flow_runs
    assert (name, state) == ("tiny", "FAILED")
    assert tags["prefect.flow_run_id"].replace("-", "") == flow_run_id.replace("-", "")
    assert {key for (key,) in artifacts} == {"leaderboard", "verdict", "mlflow", "progress"}


_HEARTBEATS = """
import sys
from pathlib import Path
from prefect.settings import get_current_settings
from cnn_pipeline.base.home import Home
from cnn_pipeline.cli.launch import prefect_ready

with prefect_ready(Home(Path(sys.argv[1]))):
    settings = get_current_settings()
    print(settings.api.url, settings.flows.heartbeat_frequency)
"""


def test_only_a_server_that_outlives_the_run_gets_heartbeats(
    home: Home, tmp_path: Path, server: str
) -> None:
    """Their thread ends up to a second late; the temporary server has nobody who waits for one."""

    def told(**more: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", _HEARTBEATS, str(home.root)],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            env=environment(tmp_path, **more),
            check=True,
        )
        return done.stdout.split()

    assert told(PREFECT_API_URL=server, PREFECT_FLOWS_HEARTBEAT_FREQUENCY="30") == [server, "30"]
    url, seconds = told(PREFECT_FLOWS_HEARTBEAT_FREQUENCY="30")
    assert (url.startswith("http://127.0.0.1:"), url != server, seconds) == (True, True, "None")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Home, Sweep], subprocess.Popen[str]]]:
    """Starts the flow in a process group of its own; nothing of it survives the test."""
    families: list[tuple[subprocess.Popen[str], dict[int, str]]] = []

    def begin(home: Home, sweep: Sweep) -> subprocess.Popen[str]:
        words = [
            "run", "--home", str(home.root), "--data", sweep.data.source, "--json",
            "--validation-size", str(sweep.data.validation_size), "--filters", "2",
            "--pooling", "max", "--train-limit", str(sweep.data.train_limit), "--threads", "1",
            "--epochs", str(sweep.training.epochs), "--batch-size", "64", "--seeds", "0,1",
            "--workers", "1",
        ]  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "cnn_pipeline.cli", *words],
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(tmp_path),
        )
        families.append((process, {}))
        return process

    yield begin
    for process, _ in families:
        family = descendants(process.pid)
        for pid in [process.pid, *family]:
            if not gone({pid}):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.slow
def test_ctrl_c_gives_130_and_leaves_nothing_running(
    home: Home, start: Callable[[Home, Sweep], subprocess.Popen[str]]
) -> None:
    process = start(home, one_trial(ENDLESS))
    client = MlflowClient(home.database_uri)

    def trains() -> bool:
        assert process.poll() is None
        runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
        return any("val_loss" in run.data.metrics for run in runs)

    wait_until(trains, "the first trial trains")
    family = descendants(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130, errors
    assert output == ""
    assert errors.splitlines()[-1] == "error: interrupted"
    assert "Traceback" not in errors
    wait_until(lambda: gone(family), f"these processes end: {family}")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert {run.info.status for run in runs} == {"KILLED"}
    assert {run.data.tags.get("trial", "sweep") for run in runs} == {"sweep", "f2-max-s0"}


def test_a_misspelt_parameter_is_refused_with_its_path() -> None:
    from prefect.exceptions import ParameterTypeError

    from flows.train_variants import train_variants

    bad = {"sweep": {"training": {"epochs": 0, "batchsize": 5}}, "workers": -1}
    with pytest.raises(ParameterTypeError) as refused:
        train_variants.validate_parameters(bad)
    message = str(refused.value)
    for path in ("sweep.training.epochs", "sweep.training.batchsize", "workers"):
        assert path in message
    assert train_variants.validate_parameters({"workers": 2})["workers"] == 2


def test_the_flows_defaults_are_the_default_sweep() -> None:
    from cnn_pipeline.settings.named import filters_and_pooling
    from flows.train_variants import train_variants

    properties = train_variants.parameters.model_dump()["properties"]
    assert properties["sweep"]["default"] == filters_and_pooling().model_dump(mode="json")
    assert properties["workers"]["minimum"] == 0
    assert properties["workers"]["default"] == 0
    assert properties["force"]["default"] is False


def test_the_flow_imports_no_tensorflow() -> None:
    """`prefect deploy` imports it, and so does the process that only starts trainers."""
    code = "import sys, flows.train_variants; print(*{'tensorflow', 'keras'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
