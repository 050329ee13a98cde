"""Artifacts by the address of their folder, copied or as bytes.

Asked by run id, MLflow would query its store several times for every file.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow.artifacts

from cnn_pipeline.base.redaction import redacted


def copy_artifact(root: str, name: str, folder: Path, tracking_uri: str) -> Path:
    """Copy the file `name` to `folder`; `root` is the address of a run's or a model's artifacts.

    Raises:
        MlflowException: the artifact store does not answer, or does not have the file.
        OSError: there is no such file.
    """
    address = f"{root.rstrip('/')}/{name}"
    local = urlsplit(address)
    if local.scheme in ("", "file") and Path(unquote(local.path)).exists():
        _require_file(Path(unquote(local.path)))
    path = mlflow.artifacts.download_artifacts(
        artifact_uri=address, dst_path=str(folder), tracking_uri=tracking_uri
    )
    return Path(path)


def _require_file(path: Path) -> None:
    """MLflow would wait for a pipe, and copy a device until the disk is full."""
    if not path.is_file():
        raise OSError(f"{path} must be a file, received a folder, pipe or device")


def reason(error: Exception) -> str:
    """Why an artifact could not be read, in a line: MLflow's own lists folders over several."""
    text = str(error).strip()
    if "No such file" in text or "No such artifact" in text or "not found" in text.lower():
        return "it is missing from the artifacts"
    return redacted(text.partition("\n")[0])


def read_artifact(root: str, name: str, tracking_uri: str) -> bytes:
    """Content of the file `name`; `root` is the address of a run's or a model's artifacts.

    Raises:
        MlflowException, OSError: as `copy_artifact`.
    """
    with tempfile.TemporaryDirectory() as folder:
        return copy_artifact(root, name, Path(folder), tracking_uri).read_bytes()
