"""Checks of the installation, its store and its services, each with a remedy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.services.addresses import POOL
from cnn_pipeline.services.deploying import client_for
from cnn_pipeline.services.doctor import runs
from cnn_pipeline.services.doctor.finding import FAIL, OK, WARN, Examination, Finding
from cnn_pipeline.services.doctor.leftovers import check_leftovers
from cnn_pipeline.services.doctor.machine import (
    check_data,
    check_disk,
    check_gpu,
    check_shell,
    check_versions,
)
from cnn_pipeline.services.doctor.prefect import check_prefect
from cnn_pipeline.services.doctor.servers import (
    check_named_prefect,
    check_ports,
    check_servers,
    require_named_prefect,
)
from cnn_pipeline.services.doctor.shared import check_shared
from cnn_pipeline.services.doctor.store import check_prefect_store, check_store
from cnn_pipeline.services.doctor.sweeps import check_sweeps, end_sweep
from cnn_pipeline.services.named import API_VARIABLE, named_api, named_client
from cnn_pipeline.services.running import running

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

__all__ = ["FAIL", "OK", "WARN", "Examination", "Finding", "end_run", "end_sweep", "examine"]


def examine(home: Home, cache: Path) -> list[Finding]:
    """Run every check, causes before their consequences.

    Nothing is changed, but that runs of MLflow whose process is gone are ended.
    """
    found = [
        *check_versions(),
        *check_shell(),
        *check_gpu(),
        check_disk(home, cache),
        check_data(cache),
        *check_store(home, os.environ),
    ]
    if all(finding.level != FAIL for finding in found if finding.name == "store"):
        found += check_sweeps(home, os.environ)
    found += [*check_prefect_store(home), *check_shared(home), check_leftovers(home, cache)]
    now = running(home)
    api = named_api(now)
    if now is not None:
        found += check_servers(now)
    if api is not None:
        found.append(check_named_prefect(api))
    if now is None and api is None:
        return [*found, *check_ports(home)]
    if any(finding.level == FAIL for finding in found if finding.name == "prefect"):
        return found
    start = f"prefect worker start --pool {POOL}"
    if api is None:
        start = "cnn-pipeline down, cnn-pipeline up; if that fails, read worker.log"
    with _client(home) as client:
        return [*found, *check_prefect(client, start)]


def end_run(home: Home, run_id: UUID) -> str:
    """Mark a flow run whose process is gone as crashed; return its name.

    Raises:
        UserError: no server answers, or the run has ended, does not exist or sends heartbeats.
    """
    if (api := named_api(running(home))) is not None:
        require_named_prefect(api)
    with _client(home) as client:
        return runs.end_run(client, run_id).name


@contextlib.contextmanager
def _client(home: Home) -> Iterator[SyncPrefectClient]:
    """A client of the Prefect server that the environment names, else of the one of `up`."""
    now = running(home)
    if named_api(now) is not None:
        with named_client() as client:
            yield client
    elif now is not None:
        with client_for(home, now.addresses) as client:
            yield client
    else:
        raise UserError(
            f"no Prefect server runs under {home.root}, and {API_VARIABLE} names none: "
            "start one with `cnn-pipeline up`"
        )
