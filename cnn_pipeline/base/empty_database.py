"""Empty databases of MLflow and Prefect, kept once they are migrated: it takes them seconds."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from importlib.metadata import version
from pathlib import Path

from cnn_pipeline.base.file_cache import keep_file, kept_content, own_file


def place_template(cache: Path, package: str, database: Path) -> bool:
    """Put a package's migrated, empty database at a path.

    False, and nothing is there, where none is kept for the version that is installed.
    """
    content = kept_content(cache, _name(package), version(package))
    if content is None:
        return False
    with own_file(database.parent) as copy:
        copy.write_bytes(content)
        # Of a database that was there: SQLite would go on with them.
        for rest in ("-journal", "-wal", "-shm"):
            database.with_name(database.name + rest).unlink(missing_ok=True)
        os.replace(copy, database)
    return True


def keep_template(cache: Path, package: str, database: Path, *, without: str = "") -> None:
    """Keep a copy of a migrated database that holds no run yet, whoever is using it.

    `without` is a table whose rows are left out: what the package writes into a new one.
    """

    def write(path: Path) -> None:
        # SQLite's own copying: the newest pages may still lie in its log.
        with (
            contextlib.closing(sqlite3.connect(database)) as source,
            contextlib.closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)
            if without:
                target.execute(f"DELETE FROM {without}")
                target.commit()

    if not database.exists():  # connecting would make one
        return
    # Damaged: then the next start migrates again.
    with contextlib.suppress(sqlite3.Error):
        keep_file(cache, _name(package), version(package), write)


def _name(package: str) -> str:
    return f"{package}-database"
