"""Tell a store that is new from one that is damaged, foreign or lost. Needs no MLflow.

It is asked before everything that opens a store, so it reads a page of SQLite's file and names of
files, no more. `cnn-pipeline doctor` reads the whole file.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import sqlite3
from importlib.util import find_spec
from pathlib import Path

from cnn_pipeline.base.files import open_file
from cnn_pipeline.base.home import Home
from cnn_pipeline.tracking.champions import OWN_STORE, Journal

_BUSY_SECONDS = 5
_MAGIC = b"SQLite format 3\0"
_DEFAULT_EXPERIMENT = "0"
NEWER = "which is newer than the installed MLflow"
BACK = (
    "Install the version of MLflow that has upgraded it, or a newer one, because no command takes "
    "an upgrade back; or restore the backup from before (docs/operations.md, 'Backup and restore')"
)


def store_fault(home: Home) -> str:
    """What is wrong with the store of a home, with the remedy; empty if it is whole or new."""
    # Read first: a store is there before its artifacts are, so what is found here had a store.
    artifacts = _entries(home.artifacts) - {_DEFAULT_EXPERIMENT}
    had_champion = bool(Journal.of(home, OWN_STORE).entries())
    fault = file_fault(home.database)
    if not fault and (artifacts or had_champion):
        rest = "there are artifacts" if artifacts else "there was a champion"
        if not home.database.exists():
            fault = f"is missing, but {rest}"
        elif not _has_experiments(home.database):
            fault = f"is new, but {rest}"
    if not fault:
        return ""
    if NEWER in fault:
        return f"the store {home.database} {fault}. {BACK}."
    return (
        f"the store {home.database} {fault}. Restore it from a backup (docs/operations.md, "
        f"'Backup and restore'); or, to start anew, move {home.mlruns} away."
    )


def file_fault(file: Path) -> str:
    """What is wrong with a file that must be MLflow's SQLite database, as 'is empty'.

    Empty if it is whole or does not exist. SQLite itself finds a file that was cut off.
    """
    try:
        with open_file(file) as opened:
            start = opened.read(len(_MAGIC))
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not start:
        return "has 0 bytes"
    if start != _MAGIC:
        return "is not an SQLite database"
    return _schema_fault(file)


def _schema_fault(file: Path) -> str:
    try:
        with contextlib.closing(_connect(file)) as database:
            rows = database.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.Error as error:
        if "locked" in str(error):  # whoever writes has opened it; MLflow waits for longer
            return ""
        if "no such table" in str(error):
            return "is the database of another program"
        return f"is damaged: {error}"
    if len(rows) != 1:
        return "is the database of another program"
    if (received := str(rows[0][0])) not in revisions():
        return f"has the schema {received}, {NEWER} ({importlib.metadata.version('mlflow')})"
    return ""


def _has_experiments(file: Path) -> bool:
    """Whether there is, or was, an experiment beside the one that MLflow makes in a new store."""
    try:
        with contextlib.closing(_connect(file)) as database:
            found = database.execute(
                "SELECT 1 FROM experiments WHERE experiment_id != 0 LIMIT 1"
            ).fetchone()
    except sqlite3.Error:
        return True  # locked
    return found is not None


def _connect(file: Path) -> sqlite3.Connection:
    # Not read-only: SQLite must be able to undo what a killed process has half written.
    return sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)


def revisions() -> set[str]:
    """Revisions of the schema that the installed MLflow knows.

    Relies on: the names of its migration files, which begin with the revision. Since: 1.0. If it
    breaks: every store is refused (`tests/tracking/test_intact.py`).
    """
    spec = find_spec("mlflow")  # does not import it
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "store" / "db_migrations" / "versions"
    return {path.name.partition("_")[0] for path in folder.glob("*_*.py")}


def _entries(folder: Path) -> set[str]:
    """Names in a folder, without hidden ones such as .DS_Store."""
    try:
        return {name for name in os.listdir(folder) if not name.startswith(".")}
    except OSError:
        return set()
