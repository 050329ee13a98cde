"""A store that is wrong is refused with the way back, and nothing is written."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cnn_pipeline.base.home import Home
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.tracking.champions import Entry, Journal
from cnn_pipeline.tracking.intact import store_fault
from cnn_pipeline.tracking.store import StoreError, open_store, store_exists
from cnn_pipeline.tracking.writer import Tracker

ENTRY = Entry(model="toy-cnn", version=3, sha256="a" * 64, run_id="r")


def content(home: Home) -> dict[str, bytes | None]:
    """Every file below a home with its bytes, and every folder."""
    return {
        str(path.relative_to(home.root)): path.read_bytes() if path.is_file() else None
        for path in home.root.rglob("*")
    }


def sql(home: Home, *statements: str) -> None:
    with closing(sqlite3.connect(home.database)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def replace(home: Home, made: bytes) -> None:
    home.database.write_bytes(made)


def other_program(home: Home) -> None:
    home.database.unlink()
    sql(home, "CREATE TABLE letters (id INTEGER)")


WRONG: dict[str, tuple[Callable[[Home], object], str]] = {
    "zero bytes": (lambda home: replace(home, b""), "has 0 bytes"),
    "no database": (lambda home: replace(home, b"<html>" * 900), "is not an SQLite database"),
    "cut off": (lambda home: os.truncate(home.database, 40_000), "is damaged: .*malformed"),
    "other program": (other_program, "is the database of another program"),
    "newer schema": (
        lambda home: sql(home, "UPDATE alembic_version SET version_num = 'ffffffffffff'"),
        r"schema ffffffffffff, which is newer than the installed MLflow \(3\.",
    ),
    "a folder": (lambda home: (home.database.unlink(), home.database.mkdir()), "is a folder"),
    "a pipe": (lambda home: (home.database.unlink(), os.mkfifo(home.database)), "is a pipe"),
}


@pytest.mark.fault(fault="store is wrong", promises="I2")
@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_store_is_refused_and_not_touched(home: Home, what: str) -> None:
    assert store_fault(home) == ""
    spoil, said = WRONG[what]
    spoil(home)
    before = content(home)
    for create in (True, False):
        with pytest.raises(StoreError, match=said) as refused:
            open_store(home, {}, create=create)
        assert refused.value.exit_code == 1
        newer = what == "newer schema"  # no upgrade helps, and nothing is lost
        assert ("Install the version of MLflow that has upgraded it" in str(refused.value)) is newer
        assert ("Restore it from a backup" in str(refused.value)) is not newer
        assert (f"to start anew, move {home.mlruns} away" in str(refused.value)) is not newer
        assert "restore" in str(refused.value).lower()
    with pytest.raises(StoreError, match=said):
        store_exists(home, {})
    assert content(home) == before


@pytest.mark.parametrize("what", WRONG)
def test_a_named_sqlite_file_is_asked_in_the_same_way(home: Home, what: str) -> None:
    spoil, said = WRONG[what]
    spoil(home)
    with pytest.raises(StoreError, match=f"{said}.*MLFLOW_TRACKING_URI"):
        open_store(Home(home.root / "other"), {"MLFLOW_TRACKING_URI": home.database_uri})


def test_a_store_that_is_missing_beside_artifacts_is_lost_not_new(home: Home) -> None:
    home.database.unlink()
    assert store_fault(home) == ""  # an empty folder is what a killed first run leaves
    (home.artifacts / ".DS_Store").touch()
    assert store_fault(home) == ""
    (home.artifacts / "toy-cnn").mkdir()
    with pytest.raises(StoreError, match="is missing, but there are artifacts"):
        open_store(home, {})
    assert not home.database.exists()


def test_a_store_that_is_missing_beside_the_journal_is_lost(home: Home) -> None:
    home.database.unlink()
    Journal.of(home, "http://team.example:5000").add(ENTRY)
    assert store_fault(home) == ""  # of another store
    Journal.of(home).add(ENTRY)
    with pytest.raises(StoreError, match="is missing, but there was a champion"):
        open_store(home, {})


def test_a_new_store_beside_the_journal_is_another_one(home: Home) -> None:
    Journal.of(home).add(ENTRY)
    with pytest.raises(StoreError, match="is new, but there was a champion"):
        open_store(home, {})


def test_a_named_sqlite_file_that_is_missing_beside_the_journal_is_lost(tmp_path: Path) -> None:
    uri, home = f"sqlite:///{tmp_path}/team.db", Home(tmp_path / "home")
    Journal.of(home, uri).add(ENTRY)
    with pytest.raises(StoreError, match="is missing, but there was a champion"):
        open_store(home, {"MLFLOW_TRACKING_URI": uri})
    assert not (tmp_path / "team.db").exists()


def test_an_empty_store_beside_artifacts_is_another_one(home: Home) -> None:
    (home.artifacts / "toy-cnn").mkdir()
    with pytest.raises(StoreError, match="is new, but there are artifacts"):
        open_store(home, {})
    (home.artifacts / "toy-cnn").rmdir()
    experiment = Tracker(open_store(home, {})).experiment("toy-cnn")
    (home.artifacts / "toy-cnn").mkdir()
    sql(
        home,
        f"UPDATE experiments SET lifecycle_stage = 'deleted' WHERE experiment_id = {experiment}",
    )
    assert store_fault(home) == ""


def test_an_older_schema_asks_for_the_upgrade(home: Home) -> None:
    sql(home, "UPDATE alembic_version SET version_num = '0584bdc529eb'")
    with pytest.raises(StoreError, match=f'mlflow db upgrade "{home.database_uri}"'):
        open_store(home, {})


@pytest.mark.fault(fault="kill -9", moment="SQLite writes a transaction", promises="I7")
def test_what_a_killed_writer_left_is_undone_not_refused(home: Home, tmp_path: Path) -> None:
    """SQLite's journal of an open transaction, copied while the file was half written."""
    writer = sqlite3.connect(home.database, isolation_level=None)
    writer.execute("PRAGMA cache_size = 1")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("CREATE TABLE half (text)")
    writer.executemany("INSERT INTO half VALUES (?)", [("x" * 5000,)] * 200)
    killed = Home(tmp_path / "killed")
    killed.mlruns.mkdir(parents=True)
    for path in home.mlruns.glob("mlflow.db*"):
        (killed.mlruns / path.name).write_bytes(path.read_bytes())
    writer.close()
    assert (killed.mlruns / "mlflow.db-journal").stat().st_size > 0
    assert store_fault(killed) == ""
    open_store(killed, {})


def test_a_locked_store_is_not_taken_for_damaged(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnn_pipeline.tracking.intact._BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(home.database)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert store_fault(home) == ""


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["compare"],
        ["champion"],
        ["history"],
        ["report"],
        ["run"],
        ["run", "--force"],
        ["retrain"],
        ["predict", "picture.png"],
        ["promote", "run", "--why", "because"],
        ["rollback", "--why", "because"],
        ["serve"],
        ["up"],
        ["ui"],
    ],
    ids=" ".join,
)
def test_every_command_refuses(
    home: Home,
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("CNN_PIPELINE_HOME", str(home.root))
    monkeypatch.chdir(home.root)
    Path("picture.png").touch()
    replace(home, b"")
    before = content(home)
    assert status_of(command) == 1
    said = capsys.readouterr().err
    assert f"error: the store {home.database} has 0 bytes. Restore it" in said
    assert "Traceback" not in said
    assert content(home) == before


def test_the_journal_survives_a_half_written_line(home: Home) -> None:
    journal = Journal.of(home)
    journal.add(ENTRY)
    with journal.path.open("ab") as file:
        file.write(b'{"model": "toy-')
    second = Entry(model="toy-cnn", version=4, sha256="b" * 64, run_id="s")
    journal.add(second)
    assert [entry.version for entry in journal.entries()] == [3, 4]
    assert journal.last("toy-cnn") == journal.entries()[-1]
    assert journal.last("other") is None


def test_a_socket_in_the_place_of_the_store_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    home.mlruns.mkdir()
    monkeypatch.chdir(home.mlruns)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(home.database.name)
        assert "must be a file" in store_fault(home)
