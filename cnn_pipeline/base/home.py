"""Paths of the home folder, which holds all state, and of the user's cache of verified data.

Nothing here creates a folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from cnn_pipeline.base.errors import InvalidInput

HOME_VARIABLE = "CNN_PIPELINE_HOME"
CACHE_VARIABLE = "CNN_PIPELINE_CACHE"
TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
# The tracking server that a deployment was made with: `prefect.yaml` sets it for each run.
DEPLOYED_VARIABLE = "CNN_PIPELINE_DEPLOYED_WITH"


@dataclass(frozen=True)
class Home:
    """The folder that holds everything that sweeps write."""

    root: Path
    """Absolute."""

    @property
    def mlruns(self) -> Path:
        """MLflow's folder."""
        return self.root / "mlruns"

    @property
    def database(self) -> Path:
        """SQLite file with MLflow's runs."""
        return self.mlruns / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """Root of MLflow's artifacts."""
        return self.mlruns / "artifacts"

    @property
    def state(self) -> Path:
        """Locks, logs, records of services and caches."""
        return self.mlruns / "state"

    @property
    def database_uri(self) -> str:
        """SQLAlchemy URI of the database; `resolve_home` refuses characters that would break it."""
        return f"sqlite:///{self.database}"

    @property
    def artifacts_uri(self) -> str:
        """'file:///home/me/cnn/mlruns/artifacts', percent-encoded."""
        return self.artifacts.as_uri()

    def write_fault(self) -> str | None:
        """Why this folder, or what is in it already, is not writable; else None."""
        nearest = next(folder for folder in (self.mlruns, *self.mlruns.parents) if folder.exists())
        if not nearest.is_dir():
            return f"--home: must be a folder, but {nearest} is a file"
        for path in (nearest, self.artifacts, self.state, self.database):
            needed = os.W_OK | os.X_OK if path.is_dir() else os.W_OK
            if path.exists() and not os.access(path, needed):
                return (
                    f"--home: must be writable, but {path} is not. "
                    f"Give another folder with --home or {HOME_VARIABLE}."
                )
        return None


def resolve_home(flag: str | None, environ: Mapping[str, str]) -> Home:
    """The home folder: the flag, else CNN_PIPELINE_HOME, else the project's root.

    The project's root is the checkout that holds this package, or the current folder if the package
    is installed without a checkout.

    Raises:
        InvalidInput: the path is empty, is a file, or has a character that MLflow misreads.
    """
    if flag is not None:
        origin, text = "--home", flag
    elif environ.get(HOME_VARIABLE):
        origin, text = HOME_VARIABLE, environ[HOME_VARIABLE]
    else:
        origin, text = "the default home", str(_project_root())
    root = _absolute(origin, text)
    if root.exists() and not root.is_dir():
        raise InvalidInput([f"{origin}: must be a folder, but {root} is a file"])
    # MLflow reads the database's path from a URI, where these two are special.
    if bad := sorted(set("%?") & set(str(root))):
        characters = " and ".join(map(repr, bad))
        raise InvalidInput([f"{origin}: must not contain {characters}, received {str(root)!r}"])
    return Home(root)


def cache_dir(environ: Mapping[str, str]) -> Path:
    """The cache of verified data, shared by all homes: CNN_PIPELINE_CACHE, else the user's cache.

    Raises:
        InvalidInput: the variable is not a path.
    """
    if text := environ.get(CACHE_VARIABLE):
        return _absolute(CACHE_VARIABLE, text)
    return platformdirs.user_cache_path("cnn-pipeline")


def _absolute(origin: str, text: str) -> Path:
    if not text.strip() or "\0" in text:
        raise InvalidInput([f"{origin}: must be the path of a folder, received {text!r}"])
    try:
        return Path(os.path.abspath(Path(text).expanduser()))
    except RuntimeError as error:  # '~name' of an unknown user
        raise InvalidInput([f"{origin}: {error}, received {text!r}"]) from None


def _project_root() -> Path:
    checkout = Path(__file__).resolve().parent.parent.parent
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()
