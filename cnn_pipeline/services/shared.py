"""The store of `up --database`: two databases on a PostgreSQL server, and a place for artifacts.

Prefect and MLflow both keep the version of their schema in a table `alembic_version`, so each has
a database of its own. Nothing here holds a password: the drivers read it from the environment.
"""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
from collections.abc import MutableMapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.files import read_file, write_whole
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home
from cnn_pipeline.base.quantities import counted
from cnn_pipeline.services.addresses import ServiceFolder
from cnn_pipeline.services.running import Record

OWN = "sqlite"
"""What `--database` says for the files in the home folder."""
_BUSY_SECONDS = 5


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid"))
class SharedStore:
    """Where the servers of `up` keep everything. Has no secret."""

    database: str
    """'postgresql://cnn@db.example:5432/cnn': the server, and how the databases' names begin."""
    artifacts: str
    """'s3://bucket/prefix', or '/srv/artifacts'."""

    @property
    def is_bucket(self) -> bool:
        """Whether the artifacts are in a bucket."""
        return self.artifacts.startswith("s3://")

    @property
    def artifacts_uri(self) -> str:
        """'s3://bucket/prefix', or 'file:///srv/artifacts', percent-encoded."""
        return self.artifacts if self.is_bucket else Path(self.artifacts).as_uri()

    @property
    def flags(self) -> list[str]:
        """The flags of `up` that name it."""
        return ["--database", self.database, "--artifacts", self.artifacts]

    @property
    def server(self) -> str:
        """'postgresql://cnn@db.example:5432'."""
        return self.database.rpartition("/")[0]

    @property
    def databases(self) -> tuple[str, str]:
        """Names of MLflow's and Prefect's databases."""
        name = self.database.rpartition("/")[2]
        return f"{name}_mlflow", f"{name}_prefect"

    @property
    def mlflow_uri(self) -> str:
        """The address of MLflow's database."""
        return f"{self.server}/{self.databases[0]}"

    @property
    def prefect_uri(self) -> str:
        """The address of Prefect's database, with Prefect's driver."""
        return f"{self.server}/{self.databases[1]}".replace("://", "+asyncpg://", 1)

    @property
    def connection(self) -> tuple[str, int, str]:
        """Host, port and user."""
        parts = urlsplit(self.database)
        assert parts.hostname is not None and parts.port is not None
        return parts.hostname, parts.port, unquote(parts.username or "")

    def creation_of(self, name: str) -> str:
        """The command that creates one of the databases."""
        host, port, user = self.connection
        return shlex.join(["createdb", "-h", host, "-p", str(port), "--owner", user, name])

    @staticmethod
    def remember(home: Home, shared: SharedStore | None) -> None:
        """Have the next `up` use this store, or with None the files in the home folder."""
        if shared is None:
            _file(home).unlink(missing_ok=True)
        else:
            write_whole(_file(home), _SHARED.dump_json(shared, indent=2))

    @classmethod
    def load(cls, home: Home) -> SharedStore | None:
        """The one that `up` has used last; None if it used the files in the home folder.

        Raises:
            UserError: the file that says so cannot be read.
        """
        try:
            return _SHARED.validate_json(read_file(_file(home)))
        except FileNotFoundError:
            return None
        except (OSError, ValidationError):
            raise UserError(
                f"{_file(home)} must say where the runs of this home are, and cannot be read. "
                "Give --database and --artifacts again: cnn-pipeline up --help"
            ) from None


_SHARED = TypeAdapter(SharedStore)


def _file(home: Home) -> Path:
    return ServiceFolder.of(home).root / "shared.json"


def left_out(home: Home, shared: SharedStore | None, before: SharedStore | None) -> str:
    """What the servers will not show, in a sentence; empty if nothing.

    Args:
        home: the home folder.
        shared: the store that `up` uses now.
        before: the one that it has used last.
    """
    if shared is None:
        return "" if before is None else f"the runs, champions and schedules in {before.database}"
    if before is not None and before.database != shared.database:
        return f"the runs, champions and schedules in {before.database}"
    if not home.database.exists():
        return ""
    found = []
    with (
        contextlib.closing(
            sqlite3.connect(f"{home.database.as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
        ) as database,
        contextlib.suppress(sqlite3.Error),
    ):  # doctor says what is wrong with it
        (count,) = database.execute(
            "SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'"
        ).fetchone()
        found = [counted(count, "run")] if count else []
        found += [
            f"the champion {name} version {version}"
            for name, version in database.execute(
                "SELECT name, version FROM registered_model_aliases WHERE alias = 'champion'"
            )
        ]
    return f"{', '.join(found)} in {home.database}" if found else ""


def use_shared_store(home: Home, environ: MutableMapping[str, str]) -> None:
    """Have this process use the store of `up --database`, unless the environment names another.

    Raises:
        UserError: its server does not run.
    """
    if environ.get(TRACKING_VARIABLE, "").strip():
        return
    shared = SharedStore.load(home)
    if shared is None:
        return
    record = Record.load(ServiceFolder.of(home))
    if record is None or not record.supervisor.alive:
        raise UserError(
            f"the runs of {home.root} are in {shared.database}, and the servers do not run. Start "
            f"them: cnn-pipeline up --detach; or go back to {home.database}: "
            f"cnn-pipeline up --database {OWN}"
        )
    environ[TRACKING_VARIABLE] = record.addresses.mlflow
