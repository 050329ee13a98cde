"""The environment of the services: every setting that matters is set, none is left to a default.

Prefect reads its settings from the environment, so this is also what a user's shell needs to speak
to the server by hand.
"""

from __future__ import annotations

from collections.abc import Mapping

from cnn_pipeline.base.home import HOME_VARIABLE, TRACKING_VARIABLE, Home
from cnn_pipeline.services.addresses import HOST, Addresses, ServiceFolder
from cnn_pipeline.services.mlflow_ui import SERVER_ENVIRONMENT

# A run tells every half minute that it lives: the least that Prefect allows.
HEARTBEAT_SECONDS = 30


def client_environment(home: Home, addresses: Addresses) -> dict[str, str]:
    """What any process needs that speaks to this home's Prefect server."""
    return {
        "PREFECT_API_URL": addresses.prefect_api,
        "PREFECT_HOME": str(ServiceFolder.of(home).prefect),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",  # Prefect's client reports its use, too, where this is not set
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_CLI_COLORS": "false",
    }


def prefect_environment(home: Home, addresses: Addresses) -> dict[str, str]:
    """Prefect's server: for this machine only, its state in the services' folder."""
    folder = ServiceFolder.of(home)
    port = addresses.prefect.rpartition(":")[2]
    return {
        **client_environment(home, addresses),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": port,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": (
            f"sqlite+aiosqlite:///{folder.prefect_database}"
        ),
        # In memory, the default, a restart of the server cancels the runs that hold a slot.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
            "prefect.server.concurrency.lease_storage.filesystem"
        ),
        # Off and '*' by default: any page in the browser could then start runs.
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"{addresses.prefect},http://localhost:{port}",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    }


def mlflow_environment() -> dict[str, str]:
    """MLflow's server: the UI and the store, nothing else."""
    return {**SERVER_ENVIRONMENT, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}


def run_environment(home: Home, addresses: Addresses) -> dict[str, str]:
    """The worker and the runs it starts."""
    return {
        **client_environment(home, addresses),
        HOME_VARIABLE: str(home.root),
        TRACKING_VARIABLE: addresses.mlflow,
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
        "PREFECT_WORKER_QUERY_SECONDS": "5",
        # Runs end as Crashed with a reason when they are stopped, instead of staying Running.
        "PREFECT_WORKER_ENABLE_CANCELLATION": "true",
    }


def with_inherited(own: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """`own` on top of the caller's environment; output is written at once, so that logs are."""
    return {**environ, "PYTHONUNBUFFERED": "1", **own}
