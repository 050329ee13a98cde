"""What a sweep leaves behind, counted on disk in the same way for all who ran it."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path

_MODELS = (".keras", ".weights.h5")
_PICTURES = (".png", ".svg", ".html")


@dataclass(frozen=True)
class Remains:
    """Counts over all files of one sweep."""

    runs: int
    """Runs in MLflow's stores."""
    metrics: int
    """Metric values in them, each step counted."""
    models: int
    """Files of weights or whole models."""
    summaries: int
    """Text files that describe a network or its training."""
    pictures: int
    """Plots and pages."""
    mib: float
    """Size of all files, in MiB."""

    def as_json(self) -> dict[str, float]:
        """All counts, for `json.dump`."""
        return asdict(self)


def remains_of(folder: Path) -> Remains:
    """Count what lies below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    stores = [path for path in files if path.name == "mlflow.db"]
    return Remains(
        runs=sum(_rows(store, "runs") for store in stores),
        metrics=sum(_rows(store, "metrics") for store in stores),
        models=sum(path.name.endswith(_MODELS) for path in files),
        summaries=sum("summary" in path.name and path.suffix in (".txt", ".md") for path in files),
        pictures=sum(path.suffix in _PICTURES for path in files),
        mib=sum(path.stat().st_size for path in files) / 2**20,
    )


def _rows(store: Path, table: str) -> int:
    with contextlib.closing(sqlite3.connect(store)) as connection:
        return int(connection.execute(f"select count(*) from {table}").fetchone()[0])
