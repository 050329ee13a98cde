"""Cache of empty, migrated databases of MLflow and Prefect: migrating one takes seconds."""

from __future__ import annotations

import contextlib
import sqlite3
from importlib.metadata import version
from pathlib import Path

from cnn_pipeline.base.file_cache import keep_file, kept_content
from cnn_pipeline.base.files import write_whole


def place_template(cache: Path, package: str, database: Path) -> bool:
    """Copy a package's migrated, empty database to a path.

    Returns:
        False if the cache has none for the installed version; then nothing is written.
    """
    content = kept_content(cache, f"{package}-database", version(package))
    if content is None:
        return False
    # Left by an earlier database; SQLite would replay them.
    for rest in ("-journal", "-wal", "-shm"):
        database.with_name(database.name + rest).unlink(missing_ok=True)
    write_whole(database, content)
    return True


def keep_template(cache: Path, package: str, database: Path, *, without: str = "") -> None:
    """Cache a copy of a migrated database that holds no run yet; it may be in use.

    Args:
        cache: folder of the cache.
        package: 'mlflow' or 'prefect'.
        database: the SQLite file.
        without: a table to empty in the copy, because the package fills it in each new database.
    """

    if not database.exists():  # connecting would create one
        return
    # If the database is damaged, the next start migrates again.
    with contextlib.suppress(sqlite3.Error):
        keep_file(
            cache,
            f"{package}-database",
            version(package),
            lambda path: copy_database(database, path, without=without),
        )


def copy_database(database: Path, path: Path, *, without: str = "") -> None:
    """Copy an SQLite file that may be in use, and empty the table `without` in the copy."""
    # SQLite's own backup also copies pages that are still in its log.
    with (
        contextlib.closing(sqlite3.connect(database)) as source,
        contextlib.closing(sqlite3.connect(path)) as target,
    ):
        source.backup(target)
        if without:
            target.execute(f"DELETE FROM {without}")
            target.commit()
