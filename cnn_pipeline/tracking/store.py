"""Open MLflow's store. A missing one is created by one process at a time."""

from __future__ import annotations

import logging
import os
import shlex
import sqlite3
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from cnn_pipeline.base.empty_database import copy_database, keep_template, place_template
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.files import make_private, move_whole
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home, cache_dir
from cnn_pipeline.base.links import check_address
from cnn_pipeline.base.reachable import SECONDS, silence
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.base.shell import MLFLOW, drop_foreign, reach_loopback_directly
from cnn_pipeline.tracking.champions import Journal
from cnn_pipeline.tracking.intact import BACK, NEWER, file_fault, store_fault
from cnn_pipeline.tracking.moved import point_home

logger = logging.getLogger(__name__)

_SETUP_SECONDS = 60
_START_IT = f"Start it, or correct or unset {TRACKING_VARIABLE}."
# MLflow makes one experiment in each new store, with that store's address for artifacts.
_ITS_OWN = "experiments"

# By default a dead server blocks each call for about four minutes, a frozen one for twenty, and a
# request is sent again that may have had its effect. `patience` repeats what can be repeated.
_CLIENT_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_TRUNCATE_LONG_VALUES": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class StoreError(UserError):
    """MLflow's store cannot be reached or set up."""

    exit_code = 1


class StoreSilent(StoreError):
    """The server of MLflow's store does not answer, and may do so later."""


@dataclass(frozen=True)
class Store:
    """An MLflow store that exists and is migrated, so that any process can use it at once."""

    uri: str
    artifacts_uri: str | None
    """Root of the artifacts of new experiments; None if a server decides."""

    @property
    def shown_uri(self) -> str:
        """The address without user and password, for screens, tags and logs."""
        return redacted(self.uri)


def store_exists(home: Home, environ: Mapping[str, str]) -> bool:
    """Whether there is a store to read: one that `MLFLOW_TRACKING_URI` names, or that of `home`.

    Answers without MLflow. A server that was named is not asked.

    Raises:
        StoreError: as `require_intact`.
    """
    require_intact(home, environ)
    return bool(environ.get(TRACKING_VARIABLE, "").strip()) or home.database.exists()


def require_intact(home: Home, environ: Mapping[str, str]) -> None:
    """Refuse a store that is damaged, foreign or lost: it must not be taken for a new one.

    Needs no MLflow and writes nothing. A store on a server is not asked.

    Raises:
        StoreError: the database is cut off, empty, of another program or of an unknown schema, or
            it is missing where there are artifacts or there was a champion.
    """
    uri = environ.get(TRACKING_VARIABLE, "").strip()
    if uri in ("", home.database_uri):
        fault = store_fault(home)
    elif uri.startswith("sqlite:///"):
        file = Path(urlsplit(uri).path.removeprefix("/")).absolute()
        found = file_fault(file)
        if not found and not file.exists() and Journal.of(home, redacted(uri)).entries():
            found = "is missing, but there was a champion"
        backup = "Restore it from a backup (docs/operations.md, 'Backup and restore')"
        remedy = f"{BACK if NEWER in found else backup}, or correct or unset {TRACKING_VARIABLE}"
        fault = found and f"the store {redacted(uri)} {found}. {remedy}."
    else:
        fault = ""
    if fault:
        raise StoreError(fault)


def require_store(home: Home, environ: Mapping[str, str]) -> None:
    """`require_intact`, and ask the server that `MLFLOW_TRACKING_URI` names. Needs no MLflow.

    Raises:
        InvalidInput: the address has a password that is not percent-encoded.
        StoreError: as `require_intact`.
        StoreSilent: the server does not answer within ten seconds.
    """
    require_intact(home, environ)
    uri = environ.get(TRACKING_VARIABLE, "").strip()
    check_address(TRACKING_VARIABLE, uri)
    if fault := silence(uri, "/health"):
        raise StoreSilent(
            f"the MLflow store at {redacted(uri)} must answer, received: {fault}. {_START_IT}"
        ) from None


def open_store(home: Home, environ: Mapping[str, str], *, create: bool = True) -> Store:
    """The store at `MLFLOW_TRACKING_URI`, or `mlruns/mlflow.db` under `home`.

    A SQLite store is created and migrated under a lock, because two processes that migrate at the
    same time both crash. With `create=False` a missing one is an error and none is created. The
    addresses of artifacts in a home that was moved or copied are made to point into it. Runs whose
    process is gone are ended.

    Raises:
        StoreError: the store is damaged or lost (`require_store`), the folder is not writable,
            another process holds the lock for more than a minute, the store is missing and
            `create` is False, or it does not answer.
    """
    drop_foreign(MLFLOW)
    reach_loopback_directly(os.environ)
    require_store(home, environ)
    set_client_defaults()
    uri = environ.get(TRACKING_VARIABLE, "").strip()
    if uri:
        store = _answering(Store(uri, None))
        _end_dead(store)
        return store
    store = Store(home.database_uri, home.artifacts_uri)
    if not create and not home.database.exists():
        raise StoreError(
            f"there is no sweep yet: {home.database} does not exist. Start one with "
            "`cnn-pipeline run`, or name another home with --home DIR."
        )
    try:
        make_private(home.artifacts)
        with FileLock(home.mlruns / ".store.lock", timeout=_SETUP_SECONDS):
            _make_or_migrate(store, home, cache_dir(environ))
    except Timeout:
        raise StoreError(
            f"the MLflow store at {home.mlruns} stayed locked for {_SETUP_SECONDS} s. Another "
            "process is setting it up: wait for it, or end it."
        ) from None
    except OSError as error:
        raise StoreError(
            f"the home folder must be writable, received {home.root} ({error.strerror}). "
            "Give another with --home DIR."
        ) from None
    _end_dead(store)
    return store


def unreachable(store: Store, error: Exception) -> StoreError:
    """The error to raise where the store answers with one."""
    return StoreError(
        f"the MLflow store at {store.shown_uri} must answer, received: {_said(error)}. "
        f"Check {TRACKING_VARIABLE}, or start the server."
    )


def _end_dead(store: Store) -> None:
    from cnn_pipeline.tracking.reaper import end_dead

    end_dead(store.uri)


def set_client_defaults() -> None:
    """Limit MLflow's retries and keep it quiet, unless these variables are set in this process.

    Those of the user's shell are dropped before (`base.shell`).
    """
    for name, value in _CLIENT_DEFAULTS.items():
        os.environ.setdefault(name, value)


def _answering(store: Store) -> Store:
    from mlflow.tracking import MlflowClient

    try:
        _connect(store.uri)
    except Exception as error:  # of SQLAlchemy, or of the database's driver
        raise StoreSilent(_no_answer(store, error)) from None
    try:
        MlflowClient(store.uri).search_experiments(max_results=1)
    except Exception as error:  # MlflowException, ValueError, ...: it depends on the store
        raise StoreError(_no_answer(store, error)) from None
    return store


def _no_answer(store: Store, error: Exception) -> str:
    return (
        f"the MLflow store at {store.shown_uri} must answer, received: {_said(error)}. {_START_IT}"
    )


def _connect(uri: str) -> None:
    """Connect to a database server once, in seconds: MLflow tries for minutes, or for ever."""
    if not uri.startswith(("postgresql", "mysql")):
        return
    import sqlalchemy

    engine = sqlalchemy.create_engine(
        uri, connect_args={"connect_timeout": int(SECONDS)}, poolclass=sqlalchemy.NullPool
    )
    engine.connect().close()


def _said(error: Exception) -> str:
    """An error in one line, without secrets and SQLAlchemy's address of a page."""
    return redacted(" ".join(str(error).partition("(Background on this error")[0].split()))


def _make_or_migrate(store: Store, home: Home, cache: Path) -> None:
    """Migrate the store to the schema of this MLflow; a missing one starts as a cached copy."""
    if not home.database.exists():
        if not place_template(cache, "mlflow", home.database):
            # Elsewhere, and moved when it is whole: a killed process must leave no half of a store.
            with tempfile.TemporaryDirectory(prefix=".new-store-", dir=home.mlruns) as folder:
                made, whole = Path(folder, "made.db"), Path(folder, "whole.db")
                _migrate(f"sqlite:///{made}")
                copy_database(made, whole, without=_ITS_OWN)
                move_whole(whole, home.database)
            keep_template(cache, "mlflow", home.database)
        # A checkout has the folder already, and other users may be able to enter it.
        home.database.chmod(0o600)
    _point_home(home)
    _migrate(store.uri)


def _point_home(home: Home) -> None:
    try:
        before = point_home(home)
    except sqlite3.Error as error:
        if "is locked" in str(error):
            raise StoreError(
                f"the store {home.database} is locked by another process (database is locked). "
                f"Wait for it, or end it: `fuser {shlex.quote(str(home.database))}` names it."
            ) from None
        raise StoreError(
            f"the addresses of artifacts in {home.database} must be readable, received: {error}. "
            "`cnn-pipeline doctor` says more."
        ) from None
    if before is not None:
        logger.warning(
            "%s was moved or copied from %s: the addresses of its artifacts now point into it",
            home.root,
            before,
        )


def _migrate(uri: str) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    from cnn_pipeline.tracking.undocumented import quiet_migrations

    quiet_migrations()
    try:
        # The first query creates the tables and migrates them.
        MlflowClient(uri).search_experiments(max_results=1)
    except MlflowException as error:
        if "out-of-date database schema" not in str(error):
            raise unreachable(Store(uri, None), error) from None
        raise StoreError(
            f"the store {uri} must have the schema of the installed MLflow, and has an older one. "
            f'After a backup: cnn-pipeline down, then mlflow db upgrade "{uri}".'
        ) from None
