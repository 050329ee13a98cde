"""Small artifacts of runs, as bytes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import mlflow.artifacts


def read_artifact(root: str, name: str, tracking_uri: str) -> bytes:
    """Content of the file `name` among the artifacts at the address `root`, a run's own.

    By a run's id MLflow would ask its store several times for every file.

    Raises:
        MlflowException: the store of the artifacts does not answer, or not with this file.
        OSError: there is no such file.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = mlflow.artifacts.download_artifacts(
            artifact_uri=f"{root.rstrip('/')}/{name}", dst_path=folder, tracking_uri=tracking_uri
        )
        return Path(path).read_bytes()
