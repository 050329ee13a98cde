"""Artifacts by the address of the folder that holds them: copied, or as bytes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import mlflow.artifacts


def copy_artifact(root: str, name: str, folder: Path, tracking_uri: str) -> Path:
    """Copy in `folder` of the file `name` below the address `root`, a run's or a model's own.

    Raises:
        MlflowException: the store of the artifacts does not answer, or not with this file.
        OSError: there is no such file.
    """
    address = f"{root.rstrip('/')}/{name}"
    path = mlflow.artifacts.download_artifacts(
        artifact_uri=address, dst_path=str(folder), tracking_uri=tracking_uri
    )
    return Path(path)


def read_artifact(root: str, name: str, tracking_uri: str) -> bytes:
    """Content of the file `name` among the artifacts at the address `root`, a run's own.

    By a run's id MLflow would ask its store several times for every file.

    Raises:
        As `copy_artifact`.
    """
    with tempfile.TemporaryDirectory() as folder:
        return copy_artifact(root, name, Path(folder), tracking_uri).read_bytes()
