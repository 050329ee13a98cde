"""Checks of the databases and artifacts: damage, schema version, moved folders."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cnn_pipeline.base.home import TRACKING_VARIABLE, Home
from cnn_pipeline.services.addresses import ServiceFolder
from cnn_pipeline.services.doctor.finding import Finding, fail, ok, warn

_BUSY_SECONDS = 10
_RESTORE = "restore it from a backup: docs/operations.md, 'Backup and restore'"
# Columns in which MLflow stores absolute addresses of files.
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


def check_store(home: Home, environ: Mapping[str, str]) -> list[Finding]:
    """Check MLflow's database and artifacts."""
    if environ.get(TRACKING_VARIABLE):
        return [ok("store", f"runs are written to the server in {TRACKING_VARIABLE}")]
    if not home.database.exists():
        return [ok("store", "empty: the first run creates it")]
    damage = _damage("store", home.database)
    if damage is not None:
        return [damage]
    with _reading(home.database) as database:
        return [
            ok("store", f"{home.database} is not damaged"),
            _schema(home, database),
            _moved(home, database),
        ]


def check_prefect_store(home: Home) -> list[Finding]:
    """Check Prefect's database for damage; its server upgrades the schema itself."""
    file = ServiceFolder.of(home).prefect_database
    if not file.exists():
        return []
    damage = _damage("schedules", file)
    return [damage or ok("schedules", f"{file} is not damaged")]


def _damage(name: str, file: Path) -> Finding | None:
    try:
        with _reading(file) as database:
            said = [row[0] for row in database.execute("PRAGMA quick_check(3)")]
    except sqlite3.Error as error:
        said = [str(error)]
    if said == ["ok"]:
        return None
    return fail(name, f"{file} is damaged: {'; '.join(said)}", _RESTORE)


def _schema(home: Home, database: sqlite3.Connection) -> Finding:
    from cnn_pipeline.tracking.undocumented import latest_schema

    (found,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
    wanted = latest_schema()
    if found == wanted:
        return ok("store", f"the schema is up to date ({found})")
    return fail(
        "store",
        f"the schema must be {wanted}, received {found}",
        "after a backup: cnn-pipeline down, then "
        f"mlflow db upgrade \"{home.database_uri}\" (docs/operations.md, 'Upgrade')",
    )


def _moved(home: Home, database: sqlite3.Connection) -> Finding:
    """Check that artifacts are where MLflow's absolute addresses point, even after a move."""
    folders = {
        Path(unquote(urlsplit(address).path))
        for table, column in _ADDRESSES
        for (address,) in database.execute(f"SELECT DISTINCT {column} FROM {table}")
        if address and address.startswith("file:")
    }
    outside = sorted(path for path in folders if home.artifacts not in (path, *path.parents))
    lost = [path for path in outside if not path.exists()]
    if lost:
        old = _common_home(lost[0])
        return fail(
            "artifacts",
            f"{len(lost)} addresses point to {old}, which does not exist: was it moved to "
            f"{home.root}?",
            f'move it back, or create a link at the old place: ln -s "{home.root}" "{old}"',
        )
    if outside:
        return warn(
            "artifacts",
            f"{len(outside)} addresses point out of the home folder, to {_common_home(outside[0])}",
            "back that folder up too",
        )
    return ok("artifacts", f"all addresses point into {home.artifacts}")


def _common_home(path: Path) -> Path:
    """The home folder of an artifact's path."""
    parts = path.parts
    return Path(*parts[: parts.index("mlruns")]) if "mlruns" in parts else path


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[sqlite3.Connection]:
    """Open a database read-only."""
    with contextlib.closing(
        sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
    ) as database:
        yield database
