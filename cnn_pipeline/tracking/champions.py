"""Journal of the champions, beside the store: it knows that there was one if the registry does not.

One line of JSON for each champion in `champions.jsonl`, only ever appended. Needs no MLflow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
from dataclasses import dataclass
from pathlib import Path

from cnn_pipeline.base.files import make_private, read_file
from cnn_pipeline.base.home import Home

OWN_STORE = ""


@dataclass(frozen=True)
class Entry:
    """A model that became champion, or was found to be."""

    model: str
    """Name of the registered model."""
    version: int
    sha256: str
    """Of the `.keras` file, hex."""
    run_id: str
    store: str = OWN_STORE
    """Address of the store without password; empty for the home's own, so that it can be moved."""
    at: str = ""
    """UTC, ISO 8601."""

    @property
    def text(self) -> str:
        """'version 3 was champion on 2026-11-28'."""
        return f"version {self.version} was champion on {self.at[:10]}"


class Journal:
    """The champions of the store at the address `store`, empty for the home's own."""

    def __init__(self, path: Path, store: str = OWN_STORE) -> None:
        self.path = path
        self._store = store

    @classmethod
    def of(cls, home: Home, store: str = OWN_STORE) -> Journal:
        """The journal of a home."""
        return cls(home.state / "champions.jsonl", store)

    def entries(self) -> list[Entry]:
        """What is written about this store, oldest first. Lines that cannot be read are left out.

        After a power loss the last line may be half written.
        """
        try:
            lines = read_file(self.path).splitlines()
        except OSError:
            return []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError, TypeError):
                found.append(Entry(**json.loads(line)))
        return [entry for entry in found if entry.store == self._store]

    def last(self, model: str) -> Entry | None:
        """The last known champion of a registered model."""
        return next((entry for entry in reversed(self.entries()) if entry.model == model), None)

    def add(self, entry: Entry) -> None:
        """Append the champion, with this store and the time; the line survives a power loss.

        The caller holds the lock of the registry.
        """
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        line = json.dumps(dataclasses.asdict(dataclasses.replace(entry, store=self._store, at=now)))
        make_private(self.path.parent)
        with self.path.open("ab") as file:
            # Begins a line, because the last one may have no end.
            file.write(f"\n{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())
