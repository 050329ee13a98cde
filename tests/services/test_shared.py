"""The store of `up --database`: its flags, what is remembered, and that no secret gets anywhere."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.base.identity import ProcessId, identify
from cnn_pipeline.champion.register import journal_of
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.cli.store_flags import artifacts_from, database_from, shared_from
from cnn_pipeline.services import environment as settings
from cnn_pipeline.services import shared_check
from cnn_pipeline.services.addresses import Addresses, ServiceFolder
from cnn_pipeline.services.doctor.shared import check_shared
from cnn_pipeline.services.loopback import HOST, free_port
from cnn_pipeline.services.running import Record
from cnn_pipeline.services.shared import SharedStore, left_out, use_shared_store
from cnn_pipeline.tracking.store import Store, open_store

ADDRESSES = Addresses("http://127.0.0.1:4200", "http://127.0.0.1:5001")
DATABASE = "postgresql://cnn@db.example:5432/cnn"
SHARED = SharedStore(DATABASE, "s3://bucket/runs")
SECRET = "hunter2-and-more"


@pytest.fixture(autouse=True)
def _no_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")


@pytest.fixture
def remembered(home: Home) -> Home:
    """A home whose last `up` has used the shared store."""
    ServiceFolder.of(home).root.mkdir(parents=True)
    SharedStore.remember(home, SHARED)
    return home


@pytest.fixture
def server() -> Iterator[ProcessId]:
    """A process that leads a group, as those that `up` starts."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    ) as process:
        found = identify(process.pid)
        assert found is not None
        yield found
        process.kill()


def run_up(home: Home, server: ProcessId) -> None:
    """As if this process were `up`."""
    own = identify(os.getpid())
    assert own is not None
    Record(own, ADDRESSES, True, {"mlflow": server}).save(ServiceFolder.of(home))


def test_each_server_has_a_database_of_its_own(home: Home) -> None:
    assert database_from("postgres://cnn@db.example/cnn") == DATABASE
    assert SHARED.mlflow_uri == "postgresql://cnn@db.example:5432/cnn_mlflow"
    assert SHARED.prefect_uri == "postgresql+asyncpg://cnn@db.example:5432/cnn_prefect"
    assert database_from("postgresql://me%40team@[::1]:5433/x") == (
        "postgresql://me%40team@[::1]:5433/x"
    )
    other = SharedStore("postgresql://me%40team@[::1]:5433/x", "/srv/a b")
    assert other.connection == ("::1", 5433, "me@team")
    prefect = settings.prefect_environment(home, ADDRESSES, SHARED)
    assert prefect["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == SHARED.prefect_uri
    mlflow = settings.shared_mlflow_environment(other)
    assert mlflow["MLFLOW_BACKEND_STORE_URI"] == other.mlflow_uri
    assert mlflow["MLFLOW_ARTIFACTS_DESTINATION"] == "file:///srv/a%20b"
    assert mlflow["MLFLOW_DEFAULT_ARTIFACT_ROOT"] == "mlflow-artifacts:/"


def test_artifacts_go_to_a_bucket_or_a_folder(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert artifacts_from("s3://bucket/runs/", home) == "s3://bucket/runs"
    assert artifacts_from("files", home) == str(tmp_path / "files")
    assert artifacts_from(None, home) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--database", f"postgresql://cnn:{SECRET}@h/cnn", "--artifacts", "x"), "set PGPASSWORD"),
        (("--database", f"postgresql://cnn:{SECRET[:4]}/{SECRET}@h/x"), "be postgresql:// with"),
        (("--database", f"postgresql://cnn:12/{SECRET}@h/x"), "be postgresql:// with"),
        (("--database", f"postgresql://cnn:#{SECRET}@h/x"), "--database: must"),
        (("--database", f"postgresql://cnn@h/x?password={SECRET}"), "set PGSSLMODE"),
        (("--database", "mysql://cnn@h/cnn"), "be postgresql:// with"),
        (("--database", "postgresql://h/cnn"), "be postgresql:// with"),
        (("--database", "postgresql://cnn@h/"), "end with /NAME"),
        (("--database", f"postgresql://cnn@h/{'x' * 56}"), "end with /NAME"),
        (("--database", "postgresql://cnn@h/cnn"), "--artifacts: is required with --database"),
        (("--artifacts", "x"), "--database: is required with --artifacts"),
        (("--database", "sqlite", "--artifacts", "x"), "--artifacts: must not be given"),
        (("--artifacts", f"s3://KEY:{SECRET}@bucket/x"), "AWS_SECRET_ACCESS_KEY"),
        (("--artifacts", "gs://bucket/x"), "must be s3://BUCKET/PREFIX or a folder"),
        (("--artifacts", __file__), "must be a folder, but"),
    ],
)
def test_a_wrong_flag_is_refused_without_its_secret(
    home: Home, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["up", "--home", str(home.root), *words]) == 2
    shown = "".join(capsys.readouterr())
    assert said in shown
    assert SECRET not in shown and SECRET[:4] not in shown
    assert not ServiceFolder.of(home).root.exists()


def test_artifacts_beside_the_home_s_own_store_are_refused(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command would take them for those of a store that was lost."""
    place = str(home.artifacts / "more")
    assert status_of(["up", "--home", str(home.root), "--artifacts", place]) == 2
    assert f"--artifacts: must not be in {home.mlruns}" in capsys.readouterr().err


def test_two_stores_at_once_are_refused(
    remembered: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@other.example")
    assert status_of(["up", "--home", str(remembered.root)]) == 2
    shown = capsys.readouterr().err
    assert "MLFLOW_TRACKING_URI: must not be set with the store" in shown
    assert SECRET not in shown
    assert shared_from("sqlite", None, remembered, "http://other.example") is None


def test_a_missing_driver_is_named_with_what_installs_it(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shared_check, "find_spec", lambda name: None)
    words = ("--detach", "--database", DATABASE, "--artifacts", "s3://bucket/runs")
    assert status_of(["up", "--home", str(home.root), *words]) == 2
    shown = capsys.readouterr().err
    assert 'psycopg2, which is not installed. Install it: pip install --editable ".[postgres]"' in (
        shown
    )
    assert 'boto3, which is not installed. Install it: pip install --editable ".[s3]"' in shown


def test_the_next_up_uses_the_same_store(remembered: Home) -> None:
    assert shared_from(None, None, remembered, "") == SHARED
    assert shared_from("sqlite", None, remembered, "") is None
    SharedStore.remember(remembered, None)
    assert shared_from(None, None, remembered, "") is None
    SharedStore.remember(remembered, SHARED)
    (file,) = ServiceFolder.of(remembered).root.iterdir()
    assert json.loads(file.read_text()) == {
        "database": SHARED.database, "artifacts": SHARED.artifacts,
    }  # fmt: skip
    file.write_text('{"database": 1}')
    with pytest.raises(UserError, match="Give --database and --artifacts again"):
        shared_from(None, None, remembered, "")


def test_commands_use_the_store_of_up_and_never_another_in_silence(
    remembered: Home, server: ProcessId, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["list", "--home", str(remembered.root)]) == 2
    shown = capsys.readouterr().err
    assert "cnn-pipeline up --detach" in shown and "up --database sqlite" in shown
    named = {"MLFLOW_TRACKING_URI": "http://other.example"}
    use_shared_store(remembered, named)
    assert named == {"MLFLOW_TRACKING_URI": "http://other.example"}
    run_up(remembered, server)
    environ: dict[str, str] = {}
    use_shared_store(remembered, environ)
    assert environ == {"MLFLOW_TRACKING_URI": ADDRESSES.mlflow}


def test_a_running_up_is_not_moved_to_another_store(
    remembered: Home, server: ProcessId, capsys: pytest.CaptureFixture[str]
) -> None:
    run_up(remembered, server)
    words = ["up", "--home", str(remembered.root)]
    assert status_of([*words, "--database", "sqlite"]) == 2
    assert "already run with another store" in capsys.readouterr().err
    assert status_of(words) == 0
    assert f"Database: {DATABASE}\nFiles:    s3://bucket/runs\n" in capsys.readouterr().out


def test_the_journal_of_a_shared_store_is_not_that_of_the_home(
    remembered: Home, server: ProcessId
) -> None:
    """Else a champion of one store would be missed in the other."""
    run_up(remembered, server)
    through_up = Store(ADDRESSES.mlflow, None)
    shared = journal_of(remembered, through_up)
    own = journal_of(remembered, Store(remembered.database_uri, None))
    assert (shared._store, own._store) == (DATABASE, "")
    SharedStore.remember(remembered, None)
    assert journal_of(remembered, through_up)._store == ""


def test_what_the_other_store_has_is_said(home: Home) -> None:
    assert left_out(home, SHARED, None) == ""
    client = MlflowClient(open_store(home, os.environ).uri)
    assert left_out(home, SHARED, None) == ""
    experiment = client.create_experiment("pets")
    client.create_run(experiment)
    deleted = client.create_run(experiment)
    client.delete_run(deleted.info.run_id)
    client.create_registered_model("pets-cnn")
    client.create_model_version("pets-cnn", "file:///nowhere")
    client.set_registered_model_alias("pets-cnn", "champion", "1")
    assert left_out(home, SHARED, SHARED) == (
        f"1 run, the champion pets-cnn version 1 in {home.database}"
    )
    assert left_out(home, None, None) == ""
    everything = f"the runs, champions and schedules in {DATABASE}"
    assert left_out(home, None, SHARED) == everything
    assert left_out(home, SharedStore(f"{DATABASE}2", "/srv"), SHARED) == everything


def test_doctor_names_a_dead_database_and_a_place_that_cannot_be_written(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_shared(home) == []
    monkeypatch.setenv("PGPASSWORD", SECRET)
    (tmp_path / "file").touch()
    ServiceFolder.of(home).root.mkdir(parents=True)
    port = free_port()
    SharedStore.remember(
        home, SharedStore(f"postgresql://cnn@{HOST}:{port}/cnn", str(tmp_path / "file" / "x"))
    )
    store, database, artifacts = check_shared(home)
    assert store.level == "warn" and store.remedy == "start them: cnn-pipeline up"
    assert database.level == "fail" and f"{HOST}:{port} must answer, received" in database.message
    assert database.remedy == "start it, or give another address with --database"
    assert artifacts.level == "fail" and "File exists" in artifacts.message
    assert SECRET not in repr((store, database, artifacts))


def test_a_database_that_says_nothing_is_given_up(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_check, "SECONDS", 0.2)
    with socket.create_server((HOST, 0)) as silent:
        shared = SharedStore(f"postgresql://cnn@{HOST}:{silent.getsockname()[1]}/cnn", "/srv")
        with pytest.raises(UserError, match="received: nothing for") as caught:
            shared_check.answering_version(shared)
    assert caught.value.exit_code == 1
