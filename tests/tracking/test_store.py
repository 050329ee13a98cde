"""Where the store is, how it is created, and the errors if it cannot be."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.home import Home
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.tracking import store as store_module
from cnn_pipeline.tracking.patience import is_transient
from cnn_pipeline.tracking.store import Store, StoreError, StoreSilent, open_store
from cnn_pipeline.tracking.writer import Tracker
from tests.running import DEADLINE

OPEN = """
import sys
from pathlib import Path
from cnn_pipeline.base.home import Home
from cnn_pipeline.tracking.store import open_store
from cnn_pipeline.tracking.writer import Tracker

print("ready", flush=True)
sys.stdin.readline()
store = open_store(Home(Path(sys.argv[1])), {"CNN_PIPELINE_CACHE": sys.argv[3]})
print(Tracker(store).experiment(sys.argv[2]))
"""


def test_two_processes_make_one_fresh_store(tmp_path: Path) -> None:
    home = Home(tmp_path / "home with späces")
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(home.root), name, str(tmp_path / "cache")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    for opener in openers:
        assert opener.stdout is not None
        assert opener.stdout.readline() == "ready\n"
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write("go\n")
        opener.stdin.flush()
    for opener in openers:
        opener.communicate(timeout=DEADLINE)
    assert [opener.returncode for opener in openers] == [0, 0]
    client = MlflowClient(f"sqlite:///{home.database}")
    locations = {e.name: e.artifact_location for e in client.search_experiments()}
    assert locations.keys() >= {"one", "two"}
    assert locations["one"] == (home.mlruns / "artifacts" / "one").as_uri()


def schema(database: Path) -> list[tuple[str, str]]:
    """Every table and index of a database, by name, with the statement that makes it."""
    with closing(sqlite3.connect(database)) as opened:
        found = opened.execute("SELECT name, coalesce(sql, '') FROM sqlite_master ORDER BY name")
        return found.fetchall()


def test_the_second_fresh_store_is_a_copy_of_the_first_without_its_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's migrations take a second, and each home has a store of its own."""
    environ = {"CNN_PIPELINE_CACHE": str(tmp_path / "cache")}
    first, second = Home(tmp_path / "first"), Home(tmp_path / "second")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    open_store(first, environ)
    monkeypatch.chdir(tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("the tables are there")

    monkeypatch.setattr("mlflow.store.db.utils._initialize_tables", refuse)
    store = open_store(second, environ)
    assert schema(second.database) == schema(first.database)
    (default,) = MlflowClient(store.uri).search_experiments()
    assert default.artifact_location == str(tmp_path / "mlruns" / "0")
    assert Tracker(store).experiment("any") == "1"


def test_a_stray_folder_of_the_old_store_changes_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow takes such a folder for its old file store unless it is told where its runs are."""
    stray = home.mlruns / "0"
    stray.mkdir()
    (stray / "meta.yaml").write_text("experiment_id: '0'\nname: Default\n")
    monkeypatch.chdir(home.root)
    store = open_store(home, {})
    assert store == Store(
        f"sqlite:///{home.root}/mlruns/mlflow.db", (home.root / "mlruns/artifacts").as_uri()
    )
    Tracker(store).experiment("mine")
    names = {e.name for e in MlflowClient(store.uri).search_experiments()}
    assert "mine" in names
    assert sorted(path.name for path in home.mlruns.iterdir()) == [
        ".store.lock",
        "0",
        "artifacts",
        "mlflow.db",
    ]


def test_the_variable_wins_and_leaves_the_home_alone(home: Home, tmp_path: Path) -> None:
    elsewhere = Home(tmp_path / "never made")
    uri = home.database_uri
    assert open_store(elsewhere, {"MLFLOW_TRACKING_URI": f" {uri} "}) == Store(uri, None)
    assert open_store(elsewhere, {"MLFLOW_TRACKING_URI": uri}, create=False) == Store(uri, None)
    assert not elsewhere.root.exists()


@pytest.mark.parametrize("umask", [0o022, 0o077])
@pytest.mark.parametrize("checkout", [True, False])
def test_no_other_user_can_read_a_new_store(tmp_path: Path, umask: int, checkout: bool) -> None:
    new = Home(tmp_path / "home")
    before = os.umask(umask)
    try:
        if checkout:  # has a folder `mlruns` with a README
            new.mlruns.mkdir(parents=True)
        open_store(new, {})
    finally:
        os.umask(before)
    assert new.database.stat().st_mode & 0o077 == 0
    assert new.artifacts.stat().st_mode & 0o777 == 0o700
    assert new.mlruns.stat().st_mode & 0o777 == (0o777 & ~umask if checkout else 0o700)


def test_an_empty_variable_is_none(home: Home) -> None:
    assert open_store(home, {"MLFLOW_TRACKING_URI": ""}).uri == home.database_uri


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://ann:s3cr3t@host:5000/base", "http://***@host:5000/base"),
        ("https://token@host", "https://***@host"),
        ("postgresql://ann:a@b:c@host/db", "postgresql://***@host/db"),
        ("http://host:5000", "http://host:5000"),
        ("sqlite:////a folder/m@il/mlflow.db", "sqlite:////a folder/m@il/mlflow.db"),
    ],
)
def test_user_and_password_are_never_shown(uri: str, shown: str) -> None:
    assert Store(uri, None).shown_uri == shown
    assert redacted(f"call to {uri}/api failed") == f"call to {shown}/api failed"


def test_a_store_that_does_not_answer_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    # Port 9 discards; nothing on a machine of today listens there.
    uri = "http://ann:s3cr3t@127.0.0.1:9"
    with pytest.raises(StoreError, match="must answer") as refused:
        open_store(Home(tmp_path), {"MLFLOW_TRACKING_URI": uri})
    message = str(refused.value)
    assert "http://***@127.0.0.1:9" in message
    assert "MLFLOW_TRACKING_URI" in message
    assert "s3cr3t" not in message
    assert "ann" not in message
    assert refused.value.__suppress_context__
    assert refused.value.exit_code == 1


@pytest.mark.parametrize("uri", ["nonsense://x", "http://[broken", "./relative"])
def test_an_address_that_is_none_is_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="correct or unset MLFLOW_TRACKING_URI"):
        open_store(Home(tmp_path), {"MLFLOW_TRACKING_URI": uri})
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_worth_another_try_in_a_sweep(tmp_path: Path) -> None:
    with pytest.raises(StoreSilent) as silent:
        open_store(Home(tmp_path), {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    assert is_transient(silent.value)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 404 Not Found\r\n\r\n", b""])
def test_a_database_that_speaks_otherwise_or_nothing_is_not_waited_for(
    answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow tries such a server for minutes, and waits for a silent one for ever."""
    pytest.importorskip("psycopg2")
    monkeypatch.setattr(store_module, "SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted.append(server.accept()[0])
                    accepted[-1].sendall(answer)

        threading.Thread(target=accept, daemon=True).start()
        uri = f"postgresql://ann:s3cr3t@127.0.0.1:{server.getsockname()[1]}/x"
        with pytest.raises(
            StoreSilent, match=r"must answer, received: .*OperationalError"
        ) as error:
            open_store(Home(tmp_path), {"MLFLOW_TRACKING_URI": uri})
    said = str(error.value)
    assert "\n" not in said and "s3cr3t" not in said and "sqlalche.me" not in said
    for one in accepted:
        one.close()


def test_a_missing_store_is_not_made_by_a_reader(tmp_path: Path) -> None:
    home = Home(tmp_path / "new")
    with pytest.raises(StoreError, match=r"cnn-pipeline run.*--home DIR"):
        open_store(home, {}, create=False)
    assert not home.root.exists()


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    # A file in the folder's place stops the superuser too, as permissions would not.
    (tmp_path / "mlruns").write_text("not a folder")
    with pytest.raises(StoreError, match=r"must be writable.*--home DIR") as refused:
        open_store(Home(tmp_path), {})
    assert str(tmp_path) in str(refused.value)


def test_bounds_on_the_client_that_this_process_has_set_are_kept(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    monkeypatch.delenv("MLFLOW_TRUNCATE_LONG_VALUES", raising=False)
    open_store(home, {})
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert os.environ["MLFLOW_TRUNCATE_LONG_VALUES"] == "false"
