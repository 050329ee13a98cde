"""A sweep that has started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_pipeline.experiment.decide import Decision
from cnn_pipeline.tracking.store import Store

if TYPE_CHECKING:
    from cnn_pipeline.tracking.reader import Reader
    from cnn_pipeline.tracking.writer import Tracker


@dataclass(frozen=True)
class SweepRun:
    """A sweep that has started: what was decided, and where it is written."""

    decision: Decision
    sweep_id: str
    experiment_id: str
    run_id: str
    store_uri: str
    artifacts_uri: str | None
    cache: Path
    tags: Mapping[str, str]

    @property
    def store(self) -> Store:
        """Where it is written."""
        return Store(self.store_uri, self.artifacts_uri)

    def tracker(self) -> Tracker:
        """What writes its runs."""
        from cnn_pipeline.tracking.writer import Tracker

        return Tracker(self.store)

    def reader(self) -> Reader:
        """What reads its runs."""
        from cnn_pipeline.tracking.reader import Reader

        return Reader(self.store, patient=True)
