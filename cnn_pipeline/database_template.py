"""Prefect's empty database, kept once it has been migrated: the migrations take five seconds."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from importlib.metadata import version
from pathlib import Path

from cnn_pipeline.kept import keep_file, kept_file, own_file

_NAME = "prefect-database"


def place_template(cache: Path, database: Path) -> bool:
    """Put a migrated, empty database at a path; False, and nothing is there, where none is kept."""
    template = kept_file(cache, _NAME, version("prefect"))
    if template is None:
        return False
    with own_file(database.parent) as copy:
        shutil.copyfile(template, copy)
        os.replace(copy, database)
    return True


def keep_template(cache: Path, database: Path) -> None:
    """Keep a copy of a migrated database that holds no flow yet, whoever is using it."""

    def write(path: Path) -> None:
        # SQLite's own copying: the newest pages may still lie in its log.
        with (
            contextlib.closing(sqlite3.connect(database)) as source,
            contextlib.closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)

    # Busy or damaged: then the next start migrates again.
    with contextlib.suppress(sqlite3.Error):
        keep_file(cache, _NAME, version("prefect"), write)
