"""Errors that any call to MLflow may end in are a sentence with a remedy, and no traceback."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
import requests
import sqlalchemy
from mlflow.exceptions import MlflowException

from cnn_pipeline.base.home import Home
from cnn_pipeline.cli import app
from cnn_pipeline.tracking import moved
from cnn_pipeline.tracking.artifacts import reason
from cnn_pipeline.tracking.sentences import in_a_sentence
from cnn_pipeline.tracking.store import StoreError, open_store

# As MLflow 3.17 words them.
SQL = "(sqlite3.OperationalError) {}\n[SQL: UPDATE x]\n(Background on this error at: https://x)"
SEEN = {
    SQL.format("database is locked"): "locked by another process",
    SQL.format("attempt to write a readonly database"): "--home DIR",
    "(sqlite3.DatabaseError) database disk image is malformed": "Restore it from a backup",
    "The experiment 1 must be in the 'active' state.": "mlflow experiments restore",
    "API request failed: HTTPConnectionPool(host='x', port=1): Max retries exceeded": "Start it",
    "Failed to download artifacts from path 'model'": "cnn-pipeline run --force",
}


@pytest.mark.parametrize("text", SEEN)
def test_what_mlflow_says_becomes_one_sentence(text: str) -> None:
    known = in_a_sentence(MlflowException(text))
    assert known is not None and SEEN[text] in str(known)
    assert "\n" not in str(known) and "SQL:" not in str(known) and known.exit_code == 1


def test_the_cause_of_an_error_counts() -> None:
    rolled_back = sqlalchemy.exc.InvalidRequestError("rolled back")
    rolled_back.__cause__ = sqlite3.OperationalError("database is locked")
    assert "locked by another process" in str(in_a_sentence(rolled_back))
    lost = KeyError("status")
    lost.__context__ = requests.ConnectionError("HTTPPool: Max retries exceeded with url")
    assert "does not answer any more" in str(in_a_sentence(lost))


def test_a_file_that_is_missing_among_the_artifacts(tmp_path: Path) -> None:
    gone = FileNotFoundError(2, "No such file or directory", f"{tmp_path}/mlruns/artifacts/1/x")
    assert "/mlruns/artifacts/1/x" in str(in_a_sentence(gone))
    for other in (FileNotFoundError(2, "No such file", "/etc/x"), ZeroDivisionError("by zero")):
        assert in_a_sentence(other) is None
    assert in_a_sentence(MlflowException("a fault of ours")) is None


def test_why_an_artifact_cannot_be_read_is_one_line() -> None:
    listed = "The following failures occurred while downloading:\n##### File x #####\n[Errno 2] {}"
    assert reason(MlflowException(listed.format("No such file or directory"))) == (
        "it is missing from the artifacts"
    )
    refused = MlflowException("http://ann:s3cr3t@host: 403\nmore")
    assert reason(refused) == "http://***@host: 403"


def test_a_command_ends_in_that_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def locked(*words: object, **options: object) -> None:
        raise MlflowException(SQL.format("database is locked"))

    monkeypatch.setattr(app.app, "main", locked)
    assert app.status_of(["promote"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: MLflow's store was locked by another process")
    assert "unexpected" not in said and "Traceback" not in said and said.count("\n") == 1


def test_a_store_that_is_locked_when_a_command_starts_is_named(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moved, "_BUSY_SECONDS", 0.1)
    with contextlib.closing(sqlite3.connect(home.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError) as refused:
            open_store(home, {})
    said = str(refused.value)
    assert said.startswith(f"the store {home.database} is locked by another process")
    assert f"fuser '{home.database}'" in said  # its folder has a space in its name
