"""Folders and addresses of the services."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cnn_pipeline
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home

POOL = "cnn-pipeline"


@dataclass(frozen=True)
class Ports:
    """Ports on the loopback address."""

    prefect: int = 4200
    mlflow: int = 5000


@dataclass(frozen=True)
class Addresses:
    """URLs of the servers; `mlflow` may be a server that this project did not start."""

    prefect: str
    mlflow: str

    @property
    def prefect_api(self) -> str:
        """The value for PREFECT_API_URL."""
        return f"{self.prefect}/api"


@dataclass(frozen=True)
class ServiceFolder:
    """The folder of everything that the services write, except MLflow's store."""

    root: Path

    @classmethod
    def of(cls, home: Home) -> ServiceFolder:
        """The services' folder of a home."""
        return cls(home.state / "services")

    @property
    def lock(self) -> Path:
        """Lock of the process that runs the services; the kernel frees it when the process ends."""
        return self.root / "up.lock"

    @property
    def record(self) -> Path:
        """The running services, as JSON."""
        return self.root / "running.json"

    @property
    def logs(self) -> Path:
        """One file per service."""
        return self.root / "logs"

    @property
    def prefect(self) -> Path:
        """Prefect's home: its database, concurrency leases and results."""
        return self.root / "prefect"

    @property
    def prefect_database(self) -> Path:
        """SQLite file with Prefect's deployments, schedules and runs."""
        return self.prefect / "prefect.db"

    def log(self, name: str) -> Path:
        """The log file of one service."""
        return self.logs / f"{name}.log"


def project_root() -> Path:
    """The checkout that holds `prefect.yaml`.

    Raises:
        UserError: the package is installed without its checkout.
    """
    root = Path(cnn_pipeline.__file__).resolve().parent.parent
    if not (root / "prefect.yaml").is_file():
        raise UserError(
            f"prefect.yaml must be in {root}, and is not. Deploying needs a checkout: clone the "
            "project and install it with `make install`."
        )
    return root
