"""Checks of the store of `up --database`: both databases answer, and artifacts can be written."""

from __future__ import annotations

from collections.abc import Callable

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.services.doctor.finding import Finding, failed, ok, warn
from cnn_pipeline.services.running import running
from cnn_pipeline.services.shared import SharedStore
from cnn_pipeline.services.shared_check import (
    answering_version,
    require_drivers,
    require_writable,
)


def check_shared(home: Home) -> list[Finding]:
    """Check the store that `up` has used last; nothing if it was the files in the home folder."""
    try:
        shared = SharedStore.load(home)
    except UserError as error:
        return [failed("database", error)]
    if shared is None:
        return []
    found = []
    if running(home) is None:
        message = f"the runs are in {shared.database}: without its servers, commands refuse"
        found.append(warn("store", message, "start them: cnn-pipeline up"))

    def database() -> str:
        require_drivers(shared)
        host, port, _ = shared.connection
        version = answering_version(shared)
        return f"{host}:{port} answers, PostgreSQL {version}: {', '.join(shared.databases)}"

    def artifacts() -> str:
        require_writable(shared)
        return f"files can be written to {shared.artifacts}, and deleted"

    return [*found, _checked("database", database), _checked("artifacts", artifacts)]


def _checked(name: str, check: Callable[[], str]) -> Finding:
    try:
        return ok(name, check())
    except UserError as error:
        return failed(name, error)
