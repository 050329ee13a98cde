"""What runs, written down for the commands that come later: `down`, `doctor`, a second `up`."""

from __future__ import annotations

import os

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from cnn_pipeline.services.addresses import Addresses, ServiceFolder
from cnn_pipeline.services.processes import ProcessId


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid"))
class Record:
    """The supervisor, its services, and their addresses."""

    supervisor: ProcessId
    addresses: Addresses
    ready: bool
    """Whether everything has answered once."""
    services: dict[str, ProcessId]
    """Leader of each service's process group, by name."""
    runs: tuple[ProcessId, ...] = ()
    """Leaders of the runs' groups: a run outlives a worker that was killed."""

    def save(self, folder: ServiceFolder) -> None:
        """Write it, whole or not at all."""
        scratch = folder.record.with_suffix(".tmp")
        with scratch.open("wb") as file:
            file.write(_RECORD.dump_json(self, indent=2, warnings="error"))
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(folder.record)

    @classmethod
    def load(cls, folder: ServiceFolder) -> Record | None:
        """The record that was written last; None where there is none, or none that can be read."""
        try:
            return _RECORD.validate_json(folder.record.read_bytes())
        except (OSError, ValidationError):
            return None

    @staticmethod
    def forget(folder: ServiceFolder) -> None:
        """Nothing runs any more."""
        folder.record.unlink(missing_ok=True)


_RECORD = TypeAdapter(Record)
