"""What a run has kept beside its params and numbers: tags, curves, files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cnn_pipeline.tracking.artifacts import read_artifact
from cnn_pipeline.tracking.store import Store


@dataclass(frozen=True)
class RunDetails:
    """One run in full, as far as it was asked for."""

    started: datetime
    tags: Mapping[str, str]
    curves: Mapping[str, tuple[float, ...]]
    """Per metric its values from step 0; NaN for a step that is missing."""
    files: Mapping[str, bytes]
    """Artifacts by path; those that the run does not have are left out."""


def read_details(
    store: Store, run_id: str, *, curves: Iterable[str] = (), files: Iterable[str] = ()
) -> RunDetails:
    """A run's tags, the curves of some metrics, and some of its artifacts."""
    client = MlflowClient(store.uri)
    run = client.get_run(run_id)
    histories = {name: _curve(client, run_id, name) for name in curves if name in run.data.metrics}
    root = run.info.artifact_uri
    found = {name: _file(root, name, store.uri) for name in files}
    return RunDetails(
        started=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        tags=dict(run.data.tags),
        curves={name: curve for name, curve in histories.items() if curve},
        files={name: content for name, content in found.items() if content is not None},
    )


def _curve(client: MlflowClient, run_id: str, name: str) -> tuple[float, ...]:
    # Of an epoch that was run twice, after a resume, the later one counts.
    points = sorted(client.get_metric_history(run_id, name), key=lambda point: point.timestamp)
    values = {point.step: float(point.value) for point in points}
    return tuple(values.get(step, math.nan) for step in range(max(values, default=-1) + 1))


def _file(root: str, name: str, tracking_uri: str) -> bytes | None:
    try:
        return read_artifact(root, name, tracking_uri)
    except (MlflowException, OSError):
        return None  # a run that failed early, or of an older version, lacks some
