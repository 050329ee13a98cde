"""Read runs that this project did not make, from any MLflow store. Nothing is written to it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.errors import InvalidInput, did_you_mean
from cnn_pipeline.base.reachable import silence
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.tracking.artifacts import read_artifact
from cnn_pipeline.tracking.intact import NEWER, revisions
from cnn_pipeline.tracking.store import Store, set_client_defaults
from cnn_pipeline.tracking.undocumented import allow_folders, latest_schema, quiet_migrations

_PAGE = 1000
_READERS = 8  # artifacts come over the network
_MOST_NAMED = 10


@dataclass(frozen=True)
class ForeignRun:
    """A run as MLflow has it."""

    run_id: str
    name: str
    status: str
    """FINISHED, RUNNING, SCHEDULED, FAILED or KILLED."""
    params: Mapping[str, str]
    tags: Mapping[str, str]
    """Without those that MLflow sets itself."""
    metrics: Mapping[str, float]
    """The last value of each."""
    artifacts: str
    """Address of its artifacts."""


def open_foreign(uri: str) -> Store:
    """The store at `uri`: a server, a database, or the folder of a file store.

    Raises:
        InvalidInput: it does not exist, does not answer, or is of another version of MLflow, whose
            client would migrate it.
    """
    set_client_defaults()
    quiet_migrations()
    store = Store(uri, None)
    fault = _file_fault(uri)
    if fault is None and (silent := silence(uri, "/health")):
        fault = (
            f"the MLflow store at {store.shown_uri} must answer, received: {silent}. Check the "
            "address, or start the server"
        )
    if fault is None:
        if _is_folder(uri):
            allow_folders()
        try:
            MlflowClient(uri).search_experiments(max_results=1)
        except Exception as error:  # MlflowException, ValueError, ...: it depends on the store
            fault = (
                f"the MLflow store at {store.shown_uri} must answer, received: "
                f"{redacted(str(error))}. Check the address, or start the server"
            )
    if fault is not None:
        raise InvalidInput([f"--tracking-uri: {fault}"])
    return store


def foreign_runs(store: Store, experiment: str, condition: str = "") -> tuple[ForeignRun, ...]:
    """All runs of an experiment that meet `condition`, the oldest first; deleted ones left out.

    Raises:
        InvalidInput: there is no such experiment, or MLflow cannot read the condition.
    """
    client = MlflowClient(store.uri)
    found = client.get_experiment_by_name(experiment)
    if found is None or found.lifecycle_stage != "active":
        raise InvalidInput([f"--experiment: {_no_experiment(client, experiment, found)}"])
    runs: list[Run] = []
    token = None
    try:
        while True:
            page = client.search_runs(
                [found.experiment_id],
                filter_string=condition,
                run_view_type=ViewType.ACTIVE_ONLY,
                max_results=_PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            runs += page
            token = page.token
            if not token:
                break
    except MlflowException as error:
        if not condition:
            raise
        message = f"--filter: MLflow must be able to read it, received: {redacted(str(error))}"
        raise InvalidInput([message]) from None
    return tuple(map(_foreign, runs))


def foreign_files(store: Store, runs: Iterable[ForeignRun], path: str) -> dict[str, bytes | None]:
    """Content of one artifact by run id; None where a run does not have it."""

    def read(run: ForeignRun) -> bytes | None:
        try:
            return read_artifact(run.artifacts, path, store.uri)
        except (MlflowException, OSError):
            return None

    chosen = list(runs)
    with ThreadPoolExecutor(_READERS) as pool:
        return dict(zip((run.run_id for run in chosen), pool.map(read, chosen), strict=True))


def listed_files(store: Store, run: ForeignRun) -> tuple[str, ...]:
    """Paths of a run's artifacts at the top level; a folder ends with a slash."""
    entries = MlflowClient(store.uri).list_artifacts(run.run_id)
    return tuple(f"{entry.path}/" if entry.is_dir else entry.path for entry in entries)


def _foreign(run: Run) -> ForeignRun:
    return ForeignRun(
        run_id=run.info.run_id,
        name=_printable(run.info.run_name or run.info.run_id),
        status=run.info.status,
        params={_printable(k): _printable(v) for k, v in run.data.params.items()},
        tags={
            _printable(k): _printable(v)
            for k, v in run.data.tags.items()
            if not k.startswith("mlflow.")
        },
        metrics=dict(run.data.metrics),
        artifacts=run.info.artifact_uri,
    )


def _printable(text: str) -> str:
    r"""The text with '\x1b' for Escape and so on: whoever wrote it must not move the cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _no_experiment(client: MlflowClient, name: str, found: object) -> str:
    if found is not None:
        return f"{name!r} is deleted; restore it in MLflow first"
    known = [one.name for one in client.search_experiments()]
    near = did_you_mean(name, known)
    more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    listed = f"; there are {', '.join(map(repr, known[:_MOST_NAMED]))}{more}" if known else ""
    return f"there is no experiment {name!r}{near or listed or '; there is none yet'}"


def _is_folder(uri: str) -> bool:
    return urlsplit(uri).scheme in ("", "file")


def _file_fault(uri: str) -> str | None:
    """Why a store on this machine cannot be read; None if it can, or is somewhere else.

    MLflow makes what is missing, and migrates what is old: both would be surprises here.
    """
    scheme = urlsplit(uri).scheme
    if scheme == "sqlite":
        file = Path(uri.removeprefix("sqlite:///").partition("?")[0])
        return _database_fault(file) if file.is_file() else f"there is no file {file}"
    if not _is_folder(uri):
        return None
    folder = Path(unquote(urlsplit(uri).path) if scheme else uri)
    if folder.is_file():
        return f"must be an address: sqlite:///{folder} for a database, received {uri!r}"
    return None if folder.is_dir() else f"there is no folder {str(folder)!r}"


def _database_fault(file: Path) -> str | None:
    address = f"{file.resolve().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            found = database.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        return f"{file} must be a database of MLflow, received: {error}"
    wanted = latest_schema()
    if found is not None and str(found[0]) not in revisions():
        return f"{file} has the schema {found[0]}, {NEWER}. Name the server that uses it"
    if found is None or found[0] != wanted:
        return (
            f"{file} is of another version of MLflow (schema {found and found[0]}, here it is "
            f"{wanted}). Copy the file, run `mlflow db upgrade` on the copy, and name the copy; or "
            "name the server that uses it"
        )
    return None
