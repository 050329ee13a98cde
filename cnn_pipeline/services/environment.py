"""Environment variables of the services; no setting that matters is left to a default.

Prefect reads its settings from the environment, so a shell needs the same variables to talk to the
server.
"""

from __future__ import annotations

from collections.abc import Mapping

from cnn_pipeline.base.home import HOME_VARIABLE, TRACKING_VARIABLE, Home
from cnn_pipeline.services.addresses import Addresses, ServiceFolder
from cnn_pipeline.services.loopback import HOST
from cnn_pipeline.services.mlflow_ui import SERVER_ENVIRONMENT

# Seconds between two heartbeats of a run: the shortest interval that Prefect allows.
HEARTBEAT_SECONDS = 30


def client_environment(home: Home, addresses: Addresses) -> dict[str, str]:
    """Variables of any process that talks to this home's Prefect server."""
    return {
        "PREFECT_API_URL": addresses.prefect_api,
        "PREFECT_HOME": str(ServiceFolder.of(home).prefect),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",  # else Prefect's client reports its usage
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_CLI_COLORS": "false",
    }


def prefect_environment(home: Home, addresses: Addresses) -> dict[str, str]:
    """Variables of Prefect's server: loopback only, state in the services' folder."""
    folder = ServiceFolder.of(home)
    port = addresses.prefect.rpartition(":")[2]
    return {
        **client_environment(home, addresses),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": port,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": (
            f"sqlite+aiosqlite:///{folder.prefect_database}"
        ),
        # With the default, in memory, a restart of the server cancels runs that hold a slot.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
            "prefect.server.concurrency.lease_storage.filesystem"
        ),
        # The defaults, off and '*', would let any page in the browser start runs.
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"{addresses.prefect},http://localhost:{port}",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    }


def mlflow_environment() -> dict[str, str]:
    """Variables of MLflow's server: UI and store only."""
    return {**SERVER_ENVIRONMENT, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}


def run_environment(home: Home, addresses: Addresses) -> dict[str, str]:
    """Variables of the worker and the runs it starts."""
    return {
        **client_environment(home, addresses),
        HOME_VARIABLE: str(home.root),
        TRACKING_VARIABLE: addresses.mlflow,
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
        "PREFECT_WORKER_QUERY_SECONDS": "5",
        # Stopped runs end as Crashed with a reason; without this they stay Running.
        "PREFECT_WORKER_ENABLE_CANCELLATION": "true",
    }


def with_inherited(own: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment updated with `own`; unbuffered, so that logs are current."""
    return {**environ, "PYTHONUNBUFFERED": "1", **own}
