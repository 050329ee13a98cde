"""Record of the running services, for later commands: `down`, `doctor`, a second `up`."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import field

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from cnn_pipeline.base.files import read_file, write_whole
from cnn_pipeline.base.identity import ProcessId
from cnn_pipeline.services.addresses import Addresses, ServiceFolder


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
