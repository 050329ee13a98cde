"""The services that run, and their record, for later commands: `down`, `doctor`, a second `up`."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import field

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from cnn_pipeline.base import links
from cnn_pipeline.base.files import read_file, write_whole
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home
from cnn_pipeline.base.identity import ProcessId
from cnn_pipeline.services.addresses import Addresses, ServiceFolder
from cnn_pipeline.services.processes import is_running


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid"))
class Record:
    """The supervisor, its services and their addresses."""

    supervisor: ProcessId
    addresses: Addresses
    ready: bool
    """Whether all services have answered."""
    services: dict[str, ProcessId]
    """Leader of each service's process group, by name."""
    runs: tuple[ProcessId, ...] = ()
    """Leaders of the runs' groups; a run outlives a killed worker."""
    cancelled: tuple[str, ...] = ()
    """Names of the runs of other processes that were cancelled, because the server is stopped."""
    folder: str = field(default="", compare=False)
    """The services' folder in which it was written."""

    def save(self, folder: ServiceFolder) -> None:
        """Write the record atomically."""
        here = dataclasses.replace(self, folder=str(folder.root))
        write_whole(folder.record, _RECORD.dump_json(here, indent=2, warnings="error"))

    @classmethod
    def load(cls, folder: ServiceFolder) -> Record | None:
        """The last record; None if there is none, it is not readable, or it is of another home.

        In a copied home, the recorded services are those of the original.
        """
        try:
            found = _RECORD.validate_json(read_file(folder.record))
        except (OSError, ValidationError):
            return None
        return None if found._is_copied(folder) else found

    def _is_copied(self, folder: ServiceFolder) -> bool:
        try:
            return bool(self.folder) and not os.path.samefile(self.folder, folder.root)
        except OSError:  # the home was moved: the folder is gone
            return False

    @staticmethod
    def forget(folder: ServiceFolder) -> None:
        """Delete the record."""
        folder.record.unlink(missing_ok=True)


_RECORD = TypeAdapter(Record)


@dataclasses.dataclass(frozen=True)
class Running:
    """The services that run under a home."""

    addresses: Addresses
    ready: bool
    supervisor_pid: int
    services: dict[str, bool]
    """Whether each service's processes are alive, by name."""

    @property
    def fault(self) -> str | None:
        """Message that names the services that do not run, or None."""
        dead = [name for name, alive in self.services.items() if not alive]
        return f"{', '.join(dead)} does not run" if dead else None


def running(home: Home) -> Running | None:
    """The services that run under `home`; None if there are none."""
    folder = ServiceFolder.of(home)
    record = Record.load(folder)
    if record is None or not record.supervisor.alive:
        return None
    return Running(
        addresses=record.addresses,
        ready=record.ready,
        supervisor_pid=record.supervisor.pid,
        services={name: is_running(leader) for name, leader in record.services.items()},
    )


def mlflow_address(home: Home) -> str:
    """URL of the MLflow server whose pages show the runs of this home; empty if none is known.

    It is the tracking server that was named, or the one that `cnn-pipeline up` runs.
    """
    for name in (links.UI_VARIABLE, TRACKING_VARIABLE):
        given = os.environ.get(name, "")
        if given.startswith(("http://", "https://")):
            return links.to_open(given)
    if os.environ.get(TRACKING_VARIABLE, "").strip():
        return ""  # another database than that of the home
    up = running(home)
    return links.to_open(up.addresses.mlflow) if up is not None and up.ready else ""
