"""What runs, written down for the commands that come later: `down`, `doctor`, a second `up`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from cnn_pipeline.services.addresses import Addresses, ServiceFolder
from cnn_pipeline.services.processes import ProcessId


@dataclass(frozen=True)
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
        with scratch.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(folder.record)

    @classmethod
    def load(cls, folder: ServiceFolder) -> Record | None:
        """The record that was written last; None where there is none, or none that can be read."""
        try:
            found = json.loads(folder.record.read_text(encoding="utf-8"))
            return cls(
                supervisor=ProcessId(**found["supervisor"]),
                addresses=Addresses(**found["addresses"]),
                ready=bool(found["ready"]),
                services={name: ProcessId(**item) for name, item in found["services"].items()},
                runs=tuple(ProcessId(**item) for item in found["runs"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    @staticmethod
    def forget(folder: ServiceFolder) -> None:
        """Nothing runs any more."""
        folder.record.unlink(missing_ok=True)
