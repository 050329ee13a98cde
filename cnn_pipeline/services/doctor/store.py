"""Checks of the databases and artifacts: damage, schema version, moved folders."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

from cnn_pipeline.base.home import TRACKING_VARIABLE, Home
from cnn_pipeline.services.addresses import ServiceFolder
from cnn_pipeline.services.doctor.finding import OK, Finding, fail, ok, warn
from cnn_pipeline.services.doctor.records import check_records
from cnn_pipeline.services.doctor.servers import check_named_store
from cnn_pipeline.tracking.intact import store_fault
from cnn_pipeline.tracking.moved import ADDRESSES, other_home, path_of
from cnn_pipeline.tracking.store import Store

_BUSY_SECONDS = 10
_RESTORE = "restore it from a backup: docs/operations.md, 'Backup and restore'"


def check_store(home: Home, environ: Mapping[str, str]) -> list[Finding]:
    """Check MLflow's database and artifacts, or the store that MLFLOW_TRACKING_URI names."""
    if uri := environ.get(TRACKING_VARIABLE, "").strip():
        return check_named_store(uri, home)
    if fault := store_fault(home):
        message, remedy = fault.rstrip(".").split(". ", 1)
        return [fail("store", message, remedy[0].lower() + remedy[1:])]
    if not home.database.exists():
        return [ok("store", "empty: the first run creates it")]
    damage = _damage("store", home.database)
    if damage is not None:
        return [damage]
    with _reading(home.database) as database:
        found = [
            ok("store", f"{home.database} is not damaged"),
            _schema(home, database),
            _moved(home, database),
        ]
        deleted = _deleted(home, database)
    if any(finding.level != OK for finding in found):
        return found + deleted
    return [*found, *deleted, *check_records(Store(home.database_uri, home.artifacts_uri))]


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
    """Check that artifacts are where MLflow's absolute addresses point."""
    if (root := other_home(home, database)) is not None:
        return warn(
            "home",
            f"the addresses of artifacts point to {root}: this home was moved or copied from there",
            "nothing: the next command makes them point here, for example cnn-pipeline list",
        )
    folders = {
        path_of(address)
        for table, column in ADDRESSES
        for (address,) in database.execute(f"SELECT DISTINCT {column} FROM {table}")
        if address and address.startswith("file:")
    }
    places = (home.artifacts, home.artifacts.resolve())
    outside = sorted(
        path for path in folders if not any(place in (path, *path.parents) for place in places)
    )
    lost = [path for path in outside if not path.exists()]
    if lost:
        return fail(
            "artifacts",
            f"{len(lost)} addresses point out of the home folder, and {lost[0]} does not exist",
            "put that folder back, from a backup if need be",
        )
    if outside:
        return warn(
            "artifacts",
            f"{len(outside)} addresses point out of the home folder, to {outside[0]}",
            "back that folder up too",
        )
    return ok("artifacts", f"all addresses point into {home.artifacts}")


def _deleted(home: Home, database: sqlite3.Connection) -> list[Finding]:
    """Name the experiments that were deleted in MLflow: nothing can be written to them."""
    found = database.execute(
        "SELECT experiment_id, name FROM experiments WHERE lifecycle_stage = 'deleted'"
    ).fetchall()
    return [
        warn(
            "experiments",
            f"{name} was deleted: its sweeps are not found, and none can be added",
            f"restore it: MLFLOW_TRACKING_URI={home.database_uri!r} mlflow experiments restore "
            f"--experiment-id {number}",
        )
        for number, name in found
    ]


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[sqlite3.Connection]:
    """Open a database read-only."""
    with contextlib.closing(
        sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
    ) as database:
        yield database
