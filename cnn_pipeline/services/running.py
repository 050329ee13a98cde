"""Record of the running services, for later commands: `down`, `doctor`, a second `up`."""

from __future__ import annotations

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from cnn_pipeline.base.files import write_whole
from cnn_pipeline.services.addresses import Addresses, ServiceFolder
from cnn_pipeline.services.processes import ProcessId


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

    def save(self, folder: ServiceFolder) -> None:
        """Write the record atomically."""
        write_whole(folder.record, _RECORD.dump_json(self, indent=2, warnings="error"))

    @classmethod
    def load(cls, folder: ServiceFolder) -> Record | None:
        """The last record; None if there is none or it is not readable."""
        try:
            return _RECORD.validate_json(folder.record.read_bytes())
        except (OSError, ValidationError):
            return None

    @staticmethod
    def forget(folder: ServiceFolder) -> None:
        """Delete the record."""
        folder.record.unlink(missing_ok=True)


_RECORD = TypeAdapter(Record)
