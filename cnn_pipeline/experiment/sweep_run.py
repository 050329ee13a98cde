"""A sweep that has started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cnn_pipeline.experiment.decide import Decision


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
