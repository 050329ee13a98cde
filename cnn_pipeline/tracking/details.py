"""Read tags, curves and artifacts of one run."""

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
    """What was asked for of one run."""

    started: datetime
    tags: Mapping[str, str]
    curves: Mapping[str, tuple[float, ...]]
    """Values from step 0 by metric; NaN for a missing step."""
    files: Mapping[str, bytes]
    """Content by path; artifacts that the run does not have are missing."""


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
    # If an epoch was logged twice, the later value counts.
    points = sorted(client.get_metric_history(run_id, name), key=lambda point: point.timestamp)
    values = {point.step: float(point.value) for point in points}
    return tuple(values.get(step, math.nan) for step in range(max(values, default=-1) + 1))


def _file(root: str, name: str, tracking_uri: str) -> bytes | None:
    try:
        return read_artifact(root, name, tracking_uri)
    except (MlflowException, OSError):
        return None  # the run failed early, or an older version wrote it
