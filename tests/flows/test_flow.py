"""The Prefect flow on the temporary server that it starts for itself.

On a server that outlives it: tests/e2e/test_prefect.py.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.home import Home
from cnn_pipeline.settings.sweep import Sweep
from tests.running import (
    DEADLINE,
    ENDLESS,
    TINY,
    descendants,
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
    """Sweep id, success, and the parent run's id, as the flow's process prints them."""
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
    assert {key for (key,) in artifacts} == {"details", "verdict", "mlflow", "progress"}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the flow in a process group of its own; nothing of it survives the test."""
    families: list[tuple[subprocess.Popen[str], dict[int, str]]] = []

    def begin(home: Home, sweep: Sweep, *variants: str) -> subprocess.Popen[str]:
        words = [
            "run", "--home", str(home.root), "--data", sweep.data.source, "--json",
            "--validation-size", str(sweep.data.validation_size), "--pooling", "max",
            "--train-limit", str(sweep.data.train_limit), "--threads", "1",
            "--epochs", str(sweep.training.epochs), "--batch-size", "64", "--workers", "1",
            *(variants or ("--filters", "2", "--seeds", "0,1")),
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
    home: Home, start: Callable[..., subprocess.Popen[str]]
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


@pytest.mark.slow
def test_ctrl_c_concludes_once_a_round_is_complete(
    home: Home, start: Callable[..., subprocess.Popen[str]]
) -> None:
    undecidable = ("--filters", "2,3", "--decide", "0.001", "--max-rounds", "1000")
    process = start(home, one_trial(), *undecidable)
    client = MlflowClient(home.database_uri)

    def trials() -> list[Run]:
        assert process.poll() is None
        runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
        return [run for run in runs if "trial" in run.data.tags]

    wait_until(lambda: len(trials()) > 2, "the first round is complete")
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, errors
    rounds = json.loads(output)["comparison"]["rounds"]
    assert rounds["status"] == "open" and len(rounds["looks"]) >= 1
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    (parent,) = (run for run in runs if "trial" not in run.data.tags)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["rounds"].startswith("not decided: stopped after ")
    assert "RUNNING" not in {run.info.status for run in runs}


def test_the_flow_imports_no_tensorflow() -> None:
    """`prefect deploy` imports it, and so does the process that only starts trainers."""
    code = "import sys, flows.train_variants; print(*{'tensorflow', 'keras'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
