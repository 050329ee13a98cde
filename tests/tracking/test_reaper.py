"""Runs whose process is gone are ended, those that live are not, and nobody waits for it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.home import Home
from cnn_pipeline.base.identity import this_process
from cnn_pipeline.tracking import names, reaper
from cnn_pipeline.tracking.overview import list_sweeps
from cnn_pipeline.tracking.store import open_store
from tests.experiment.scripted_store import ScriptedSweep
from tests.running import one_trial

GONE = json.dumps(json.loads(this_process()) | {"pid": 2**22 + 1})
ELSEWHERE = json.dumps(json.loads(this_process()) | {"host": "another"})


@pytest.fixture
def stored(home: Home) -> ScriptedSweep:
    """A sweep of one trial that runs."""
    return ScriptedSweep(home, one_trial(), "one-1")


@pytest.fixture
def trial(stored: ScriptedSweep) -> str:
    (trial,) = stored.sweep.trials()
    return stored.begin(trial)


@pytest.fixture
def client(home: Home) -> MlflowClient:
    return MlflowClient(home.database_uri)


def now_of(run: Run) -> tuple[str, str | None]:
    return run.info.status, run.data.tags.get(names.REASON)


def orphan(stored: ScriptedSweep, *run_ids: str) -> None:
    for run_id in run_ids:
        stored.tracker.tag(run_id, {names.PROCESS: GONE})


def test_what_a_dead_process_left_is_killed(
    home: Home, stored: ScriptedSweep, trial: str, client: MlflowClient
) -> None:
    orphan(stored, stored.run_id, trial)
    client.log_metric(trial, "loss", 0.5)
    last = client.get_metric_history(trial, "loss")[0].timestamp
    time.sleep(0.05)
    open_store(home, {}, create=False)
    for run_id in (stored.run_id, trial):
        run = client.get_run(run_id)
        host = json.loads(GONE)["host"]
        assert now_of(run) == ("KILLED", f"its process is gone ({host}, pid {2**22 + 1})")
        assert run.info.end_time == last  # not the time of the command that found it


@pytest.mark.parametrize("process", [this_process(), ELSEWHERE, "", "of another project"])
def test_what_may_live_is_left_alone(
    home: Home, stored: ScriptedSweep, trial: str, client: MlflowClient, process: str
) -> None:
    stored.tracker.tag(trial, {names.PROCESS: process})
    open_store(home, {})
    assert {client.get_run(one).info.status for one in (stored.run_id, trial)} == {"RUNNING"}


def test_runs_of_others_are_left_alone(home: Home, client: MlflowClient) -> None:
    made = client.create_run(client.create_experiment("theirs"), tags={names.PROCESS: GONE})
    open_store(home, {})
    assert client.get_run(made.info.run_id).info.status == "RUNNING"


def test_what_was_whole_is_finished(
    home: Home, stored: ScriptedSweep, trial: str, client: MlflowClient
) -> None:
    orphan(stored, stored.run_id, trial)
    stored.tracker.tag(trial, {names.COMPLETE: "true"})
    stored.tracker.tag(stored.run_id, {names.VERDICT: "There is one variant."})
    open_store(home, {})
    for run_id in (stored.run_id, trial):
        assert now_of(client.get_run(run_id)) == ("FINISHED", None)


def test_a_sweep_with_its_verdict_says_what_failed(
    home: Home, stored: ScriptedSweep, trial: str, client: MlflowClient
) -> None:
    orphan(stored, stored.run_id)
    stored.tracker.end(trial, "FAILED", "Diverged: loss is NaN")
    stored.tracker.tag(stored.run_id, {names.VERDICT: "Nothing finished."})
    open_store(home, {})
    reason = f"{stored.sweep.trials()[0].name}: Diverged: loss is NaN"
    assert now_of(client.get_run(stored.run_id)) == ("FAILED", reason)


def test_a_run_that_somebody_goes_on_with_is_not_ended(
    stored: ScriptedSweep, trial: str, client: MlflowClient
) -> None:
    """It was read as an orphan, and reopened before it could be ended."""
    orphan(stored, trial)
    read = client.get_run(trial)
    stored.tracker.reopen(trial)
    assert reaper.settle(client, read, "its process is gone") == "RUNNING"
    stored.tracker.end(trial, "FAILED", "Diverged")
    assert reaper.settle(client, read, "its process is gone") == "FAILED"


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process is writing into the database."""
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN IMMEDIATE'); "
        "print('locked', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(database)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        yield
        process.stdin.close()


def test_a_locked_store_is_listed_at_once(
    home: Home, stored: ScriptedSweep, trial: str, client: MlflowClient
) -> None:
    orphan(stored, stored.run_id, trial)
    with locked(home.database):
        began = time.monotonic()
        (sweep,) = list_sweeps(open_store(home, {}), 1).sweeps
        assert time.monotonic() - began < 10
    assert sweep.state == "stopped"
    assert sweep.reason.startswith("its process is gone (")
    assert client.get_run(stored.run_id).info.status == "RUNNING"
    open_store(home, {})
    assert client.get_run(stored.run_id).info.status == "KILLED"


def test_a_store_that_refuses_does_not_fail_a_command(
    home: Home, stored: ScriptedSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan(stored, stored.run_id)

    def refuse(*args: object, **kwargs: object) -> None:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(MlflowClient, "set_terminated", refuse)
    assert list_sweeps(open_store(home, {}), 1).sweeps[0].state == "stopped"


def test_an_empty_store_has_nothing_to_end(home: Home) -> None:
    assert reaper.open_runs(MlflowClient(open_store(home, {}).uri)) == []
