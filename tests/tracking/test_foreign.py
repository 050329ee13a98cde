"""Runs that this project did not make, in stores of every kind."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.home import Home
from cnn_pipeline.tracking.foreign import (
    foreign_files,
    foreign_runs,
    listed_files,
    open_foreign,
)


def log(
    client: MlflowClient, experiment: str, name: str, units: int, status: str = "FINISHED"
) -> str:
    run = client.create_run(experiment, run_name=name, tags={"owner": "ann"})
    client.log_param(run.info.run_id, "units", units)
    client.log_metric(run.info.run_id, "accuracy", 0.5, step=1)
    client.log_metric(run.info.run_id, "accuracy", 0.75, step=2)
    client.set_terminated(run.info.run_id, status)
    return str(run.info.run_id)


@pytest.fixture
def client(home: Home, tmp_path: Path) -> MlflowClient:
    """A store with an experiment 'digits' of three runs and a deleted one."""
    made = MlflowClient(home.database_uri)
    place = (tmp_path / "files").as_uri()
    experiment = made.create_experiment("digits", artifact_location=place)
    log(made, experiment, "first", 16)
    log(made, experiment, "second", 64)
    log(made, experiment, "third", 64, "FAILED")
    made.delete_run(log(made, experiment, "deleted", 64))
    return made


def fault_of(uri: str, experiment: str = "digits", condition: str = "") -> str:
    with pytest.raises(InvalidInput) as caught:
        foreign_runs(open_foreign(uri), experiment, condition)
    (fault,) = caught.value.faults
    return fault


def test_runs_are_read_as_they_were_logged(client: MlflowClient, home: Home) -> None:
    runs = foreign_runs(open_foreign(home.database_uri), "digits")
    assert [run.name for run in runs] == ["first", "second", "third"]
    assert [run.status for run in runs] == ["FINISHED", "FINISHED", "FAILED"]
    assert runs[1].params == {"units": "64"}
    assert runs[1].tags == {"owner": "ann"}
    assert runs[1].metrics == {"accuracy": 0.75}
    chosen = foreign_runs(open_foreign(home.database_uri), "digits", "params.units = '16'")
    assert [run.name for run in chosen] == ["first"]


def test_what_others_wrote_cannot_steer_the_terminal(client: MlflowClient, home: Home) -> None:
    run_id = log(client, "1", "\x1b]0;owned\x07größer", 8)
    client.log_param(run_id, "note", "a\nb\x9b31m")
    run = foreign_runs(open_foreign(home.database_uri), "digits")[-1]
    assert run.name == r"\x1b]0;owned\x07größer"
    assert run.params["note"] == r"a\nb\x9b31m"


def test_artifacts_are_read_where_there_are_any(
    client: MlflowClient, home: Home, tmp_path: Path
) -> None:
    store = open_foreign(home.database_uri)
    first, second, _ = foreign_runs(store, "digits")
    client.log_text(first.run_id, "1,1", "answers.csv")
    client.log_text(first.run_id, "x", "plots/x.txt")
    found = foreign_files(store, (first, second), "answers.csv")
    assert found == {first.run_id: b"1,1", second.run_id: None}
    assert listed_files(store, first) == ("answers.csv", "plots/")


def test_an_unknown_experiment_is_named_with_those_that_exist(
    client: MlflowClient, home: Home
) -> None:
    assert "did you mean 'digits'?" in fault_of(home.database_uri, "digit")
    assert "there are 'digits'" in fault_of(home.database_uri, "clothes")
    found = client.get_experiment_by_name("digits")
    assert found is not None
    client.delete_experiment(found.experiment_id)
    assert "'digits' is deleted" in fault_of(home.database_uri)


def test_a_filter_that_mlflow_cannot_read_is_refused(client: MlflowClient, home: Home) -> None:
    assert fault_of(home.database_uri, condition="units is 16").startswith("--filter: ")


def test_a_store_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    assert "there is no file" in fault_of(f"sqlite:///{tmp_path}/none.db")
    assert "there is no folder" in fault_of(str(tmp_path / "mlruns"))
    (tmp_path / "text.db").write_text("no database", encoding="utf-8")
    assert "must be a database of MLflow" in fault_of(f"sqlite:///{tmp_path}/text.db")
    assert f"sqlite:///{tmp_path}/text.db" in fault_of(str(tmp_path / "text.db"))
    assert [path.name for path in tmp_path.iterdir()] == ["text.db"]


def test_a_database_of_another_mlflow_is_not_migrated(home: Home) -> None:
    with closing(sqlite3.connect(home.database)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'older'")
        database.execute("DROP TABLE tags")
        database.commit()
    assert "schema older" in fault_of(home.database_uri)
    with closing(sqlite3.connect(home.database)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'tags'").fetchall()
    assert tables == []


def test_a_server_that_does_not_answer_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    fault = fault_of("http://ann:secret@127.0.0.1:9")
    assert fault.startswith(
        "--tracking-uri: the MLflow store at http://***@127.0.0.1:9 must answer"
    )
    assert "secret" not in fault


def test_the_folder_of_a_file_store_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))  # it is allowed for the whole process
    (tmp_path / "mlruns").mkdir()
    store = open_foreign(str(tmp_path / "mlruns"))
    client = MlflowClient(store.uri)
    log(client, client.create_experiment("digits"), "first", 16)
    assert [run.name for run in foreign_runs(store, "digits")] == ["first"]
