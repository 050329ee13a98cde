"""Point a store's addresses of artifacts into its home, after that was moved or copied.

MLflow stores absolute addresses. A copied home would read and write the files of the original.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cnn_pipeline.base.home import Home

_INSIDE = "/mlruns/artifacts"
_BUSY_SECONDS = 20
# Columns in which MLflow stores absolute addresses of files.
#
# Relies on: names of tables and columns. Since: 3.0. If it breaks: opening a store raises
# sqlite3.OperationalError (`tests/tracking/test_moved.py`).
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


def point_home(home: Home) -> Path | None:
    """Rewrite addresses below the artifacts of another home, in one transaction.

    A home that is reached through a link is the same home. Only experiments are looked at to find
    out, because addresses of runs and models begin with those of their experiments. The caller
    holds the store's lock.

    Returns:
        The other home; None if all addresses were right.

    Raises:
        sqlite3.Error: the database cannot be read or written; nothing was changed.
    """
    with _opened(home.database) as database:
        others = _other_roots(home, database)
        if not others:
            return None
        with database:
            database.execute("BEGIN IMMEDIATE")
            for root in others:
                for table, column in ADDRESSES:
                    _rewrite(database, table, column, root, home.artifacts_uri)
        return path_of(min(others)).parent.parent


def other_home(home: Home, database: sqlite3.Connection) -> Path | None:
    """The home that addresses of artifacts point to; None if it is this one."""
    roots = _other_roots(home, database)
    return path_of(min(roots)).parent.parent if roots else None


def _other_roots(home: Home, database: sqlite3.Connection) -> set[str]:
    return {
        root
        for (address,) in database.execute("SELECT artifact_location FROM experiments")
        if (root := _root(address or "")) and not _is_same(root, home)
    }


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    """An SQLite file that exists, without implicit transactions."""
    with contextlib.closing(
        sqlite3.connect(
            f"{file.as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS, isolation_level=None
        )
    ) as database:
        yield database


def path_of(address: str) -> Path:
    """The path in a `file:` address."""
    return Path(unquote(urlsplit(address).path))


def _rewrite(database: sqlite3.Connection, table: str, column: str, old: str, new: str) -> None:
    # Not LIKE: '%' and '_' are common in addresses.
    database.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
        f" WHERE {column} = ? OR substr({column}, 1, ?) = ?",
        (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
    )


def _root(address: str) -> str:
    """The address of a home's artifacts that `address` begins with; empty if it does not."""
    if not address.startswith("file:"):
        return ""
    before, inside, after = f"{address}/".rpartition(f"{_INSIDE}/")
    return f"{before}{_INSIDE}" if inside and after else ""


def _is_same(root: str, home: Home) -> bool:
    if root == home.artifacts_uri:
        return True
    try:
        return os.path.samefile(path_of(root), home.artifacts)
    except OSError:
        return False
