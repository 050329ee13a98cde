"""Opening MLflow's store: where it is, made once, never by two processes at a time."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from cnn_pipeline.base.empty_database import keep_template, place_template
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home, cache_dir

_SETUP_SECONDS = 60

# Without bounds a dead server blocks each call for about four minutes, a frozen one for twenty.
_CLIENT_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_TRUNCATE_LONG_VALUES": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class StoreError(UserError):
    """MLflow's store cannot be reached or set up."""

    exit_code = 1


@dataclass(frozen=True)
class Store:
    """An MLflow store that is ready: a process that gets one need not set anything up."""

    uri: str
    artifacts_uri: str | None
    """Root for new experiments' artifacts; None where a server decides."""

    @property
    def shown_uri(self) -> str:
        """The address without a user's name and password: for screens, tags and logs."""
        return redacted(self.uri)


def open_store(home: Home, environ: Mapping[str, str], *, create: bool = True) -> Store:
    """The store that `MLFLOW_TRACKING_URI` names, else `mlruns/mlflow.db` under `home`.

    A missing SQLite store is created and migrated under a lock: two processes that did it at
    once would both crash. With `create=False` a missing one is an error, and nothing is made.

    Raises:
        StoreError: the folder cannot be written, another process holds the lock too long, or
            the store is missing and may not be made; the one that was named does not answer.
    """
    set_client_defaults()
    uri = environ.get(TRACKING_VARIABLE, "").strip()
    if uri:
        return _answering(Store(uri, None))
    store = Store(home.database_uri, home.artifacts_uri)
    if not create and not home.database.exists():
        raise StoreError(
            f"there is no sweep yet: {home.database} does not exist. Start one with "
            "`cnn-pipeline run`, or name another home with --home DIR."
        )
    try:
        home.artifacts.mkdir(parents=True, exist_ok=True)
        with FileLock(home.mlruns / ".store.lock", timeout=_SETUP_SECONDS):
            _make_or_migrate(store, home.database, cache_dir(environ))
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
    return store


def redacted(text: str) -> str:
    """`text` with the user and password of every address in it replaced by '***'."""
    return re.sub(r"(?<=://)[^\s/]*@", "***@", text)


def set_client_defaults() -> None:
    """Bound MLflow's retries and keep it quiet, unless the user has decided otherwise."""
    for name, value in _CLIENT_DEFAULTS.items():
        os.environ.setdefault(name, value)


def _answering(store: Store) -> Store:
    from mlflow.tracking import MlflowClient

    try:
        MlflowClient(store.uri).search_experiments(max_results=1)
    except Exception as error:  # each kind of store has its own: MlflowException, ValueError, ...
        raise StoreError(
            f"the MLflow store at {store.shown_uri} must answer, received: "
            f"{redacted(str(error))}. Start it, or correct or unset {TRACKING_VARIABLE}."
        ) from None
    return store


@contextmanager
def as_default(uri: str) -> Iterator[None]:
    """Make `uri` MLflow's address for the whole process: some of its calls look nowhere else.

    Put back after the block. MLflow remembers the address and writes it into the environment, then
    and after each of its own detours, where every child process would find it.
    """
    import mlflow

    before = os.environ.get(TRACKING_VARIABLE)
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)
        if before is not None:
            os.environ[TRACKING_VARIABLE] = before


def _make_or_migrate(store: Store, database: Path, cache: Path) -> None:
    """Bring a store to this version's schema, a missing one from the copy that is kept."""
    missing = not database.exists()
    placed = missing and place_template(cache, "mlflow", database)
    _migrate(store.uri)
    if missing and not placed:
        # The experiment 'Default' stays out: its artifacts would go to where this one's go.
        keep_template(cache, "mlflow", database, without="experiments")


def _migrate(uri: str) -> None:
    from mlflow.tracking import MlflowClient

    # It tells of every migration, on a terminal that shows progress.
    for name in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)

    # The first question creates the tables and brings them to this version's schema.
    MlflowClient(uri).search_experiments(max_results=1)
