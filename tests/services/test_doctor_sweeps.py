"""`doctor` names the runs of MLflow that have not ended, and ends one by hand."""

from __future__ import annotations

import json

import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.home import Home
from cnn_pipeline.base.identity import this_process
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.services.doctor.sweeps import check_sweeps
from cnn_pipeline.tracking import names
from tests.experiment.scripted_store import ScriptedSweep
from tests.running import one_trial

OWN = json.loads(this_process())
GONE = json.dumps(OWN | {"pid": 2**22 + 1})
ELSEWHERE = json.dumps(OWN | {"host": "vm2", "pid": 7})
HOURS = 2 * 3600 * 1000


@pytest.fixture
def client(home: Home) -> MlflowClient:
    return MlflowClient(home.database_uri)


def begun(home: Home, client: MlflowClient, process: str, ago_ms: int = 0) -> tuple[str, str]:
    """A sweep and its trial, begun by this process some time ago."""
    stored = ScriptedSweep(home, one_trial(), "one-1")
    (trial,) = stored.sweep.trials()
    made = [stored.run_id, stored.begin(trial)]
    ids = []
    for run in map(client.get_run, made):
        tags = run.data.tags | {names.PROCESS: process}
        if not process:
            del tags[names.PROCESS]
        if names.PARENT in tags:
            tags[names.PARENT] = ids[0]
        start = run.info.start_time - ago_ms
        again = client.create_run(run.info.experiment_id, start, tags, run_name=run.info.run_name)
        ids.append(again.info.run_id)
        client.delete_run(run.info.run_id)
    return ids[0], ids[1]


def test_runs_that_live_are_fine(home: Home, client: MlflowClient) -> None:
    assert check_sweeps(home, {})[0].message == "0 runs active, none is stuck"
    begun(home, client, this_process(), HOURS)
    (found,) = check_sweeps(home, {})
    assert (found.level, found.message) == ("ok", "1 run active, none is stuck")


def test_what_a_dead_process_left_is_ended(home: Home, client: MlflowClient) -> None:
    made = begun(home, client, GONE)
    (found,) = check_sweeps(home, {})
    assert (found.level, found.message) == ("ok", "0 runs active, none is stuck")
    assert {client.get_run(one).info.status for one in made} == {"KILLED"}


@pytest.mark.parametrize(
    ("process", "words"),
    [
        (ELSEWHERE, "its process is of another machine (vm2, pid 7)"),
        ("", "it does not say whose it is, as in older versions"),
    ],
)
def test_quiet_runs_of_others_are_named_and_ended_by_hand(
    home: Home,
    client: MlflowClient,
    process: str,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep, trial = begun(home, client, process, HOURS)
    (found,) = check_sweeps(home, {})
    assert found.level == "warn"
    assert f"one-1 has not ended, {words}, and its last record is 2 h" in found.message
    end = found.remedy.rpartition(": ")[2].split()
    assert end == ["cnn-pipeline", "doctor", "--end", sweep]
    assert status_of([*end[1:], "--home", str(home.root)]) == 0
    assert capsys.readouterr().out == "one-1 is ended as KILLED\n"
    for one in (sweep, trial):
        run = client.get_run(one)
        assert run.info.status == "KILLED"
        assert run.data.tags["reason"] == "ended by hand: nothing wrote it any more"
    assert status_of([*end[1:], "--home", str(home.root)]) == 2
    assert "one-1 has ended already, as KILLED" in capsys.readouterr().err


def test_a_run_of_another_machine_that_just_wrote_is_fine(home: Home, client: MlflowClient) -> None:
    begun(home, client, ELSEWHERE)
    assert [found.level for found in check_sweeps(home, {})] == ["ok"]


def test_only_a_run_whose_process_may_be_gone_is_ended_by_hand(
    home: Home, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep, _ = begun(home, client, this_process())
    other = client.create_run(client.create_experiment("theirs")).info.run_id
    for run_id, words in (
        (sweep, "the process of one-1 lives"),
        (other, "is not that of a sweep or a trial"),
        ("0" * 32, "MLflow has no run"),
        ("0" * 31, "must be the id of a flow run or of a run of MLflow"),
    ):
        assert status_of(["doctor", "--end", run_id, "--home", str(home.root)]) == 2
        assert words in capsys.readouterr().err
    assert client.get_run(sweep).info.status == "RUNNING"
