"""Open MLflow's store. A missing one is created by one process at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from cnn_pipeline.base.empty_database import keep_template, place_template
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home, cache_dir

_SETUP_SECONDS = 60

# By default a dead server blocks each call for about four minutes, a frozen one for twenty.
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

    Answers without MLflow. A store that was named is not asked.
    """
    return bool(environ.get(TRACKING_VARIABLE, "").strip()) or home.database.exists()


def open_store(home: Home, environ: Mapping[str, str], *, create: bool = True) -> Store:
    """The store at `MLFLOW_TRACKING_URI`, or `mlruns/mlflow.db` under `home`.

    A SQLite store is created and migrated under a lock, because two processes that migrate at the
    same time both crash. With `create=False` a missing one is an error and nothing is written.

    Raises:
        StoreError: the folder is not writable, another process holds the lock for more than a
            minute, the store is missing and `create` is False, or it does not answer.
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
    """Limit MLflow's retries and keep it quiet, unless the user has set these variables."""
    for name, value in _CLIENT_DEFAULTS.items():
        os.environ.setdefault(name, value)


def _answering(store: Store) -> Store:
    from mlflow.tracking import MlflowClient

    try:
        MlflowClient(store.uri).search_experiments(max_results=1)
    except Exception as error:  # MlflowException, ValueError, ...: it depends on the store
        raise StoreError(
            f"the MLflow store at {store.shown_uri} must answer, received: "
            f"{redacted(str(error))}. Start it, or correct or unset {TRACKING_VARIABLE}."
        ) from None
    return store


def _make_or_migrate(store: Store, database: Path, cache: Path) -> None:
    """Migrate the store to the schema of this MLflow; a missing one starts as a cached copy."""
    missing = not database.exists()
    placed = missing and place_template(cache, "mlflow", database)
    _migrate(store.uri)
    if missing and not placed:
        # Without the experiment 'Default', which has this store's address for artifacts.
        keep_template(cache, "mlflow", database, without="experiments")


def _migrate(uri: str) -> None:
    from mlflow.tracking import MlflowClient

    from cnn_pipeline.tracking.undocumented import quiet_migrations

    quiet_migrations()
    # The first query creates the tables and migrates them.
    MlflowClient(uri).search_experiments(max_results=1)
