"""Artifacts by the address of their folder, copied or as bytes.

Asked by run id, MLflow would query its store several times for every file.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import mlflow.artifacts


def copy_artifact(root: str, name: str, folder: Path, tracking_uri: str) -> Path:
    """Copy the file `name` to `folder`; `root` is the address of a run's or a model's artifacts.

    Raises:
        MlflowException: the artifact store does not answer, or does not have the file.
        OSError: there is no such file.
    """
    address = f"{root.rstrip('/')}/{name}"
    path = mlflow.artifacts.download_artifacts(
        artifact_uri=address, dst_path=str(folder), tracking_uri=tracking_uri
    )
    return Path(path)


def read_artifact(root: str, name: str, tracking_uri: str) -> bytes:
    """Content of the file `name`; `root` is the address of a run's or a model's artifacts.

    Raises:
        MlflowException, OSError: as `copy_artifact`.
    """
    with tempfile.TemporaryDirectory() as folder:
        return copy_artifact(root, name, Path(folder), tracking_uri).read_bytes()
