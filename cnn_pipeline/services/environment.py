"""Environment variables of the services; no setting that matters is left to a default.

Prefect reads its settings from the environment, so a shell needs the same variables to talk to the
server.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from cnn_pipeline.base.home import HOME_VARIABLE, TRACKING_VARIABLE, Home
from cnn_pipeline.base.links import to_open
from cnn_pipeline.services.addresses import Addresses, ServiceFolder
from cnn_pipeline.services.loopback import HOST
from cnn_pipeline.services.mlflow_ui import server_environment
from cnn_pipeline.services.shared import SharedStore


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


def prefect_environment(
    home: Home, addresses: Addresses, shared: SharedStore | None = None
) -> dict[str, str]:
    """Variables of Prefect's server: loopback only, state in the services' folder or `shared`."""
    own = f"sqlite+aiosqlite:///{ServiceFolder.of(home).prefect_database}"
    port = addresses.prefect.rpartition(":")[2]
    return {
        **client_environment(home, addresses),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": port,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": own if shared is None else shared.prefect_uri,
        # With the default, in memory, a restart of the server cancels runs that hold a slot.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
            "prefect.server.concurrency.lease_storage.filesystem"
        ),
        # The defaults, off and '*', would let any page in the browser start runs.
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"{addresses.prefect},http://localhost:{port}",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    }


def mlflow_environment(store_uri: str, artifacts_uri: str) -> dict[str, str]:
    """Variables of MLflow's server: UI and store only."""
    return {
        **server_environment(store_uri, artifacts_uri),
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }


def shared_mlflow_environment(shared: SharedStore) -> dict[str, str]:
    """The same with a shared store: the server alone reaches the artifacts and needs keys."""
    own = mlflow_environment(shared.mlflow_uri, "mlflow-artifacts:/")
    return {**own, "MLFLOW_ARTIFACTS_DESTINATION": shared.artifacts_uri}


def run_environment(home: Home, addresses: Addresses) -> dict[str, str]:
    """Variables of the worker and the runs it starts."""
    named = os.environ.get(TRACKING_VARIABLE, "").strip()
    # `addresses` are on disk, so without the user and password of a server that was named.
    tracking = named if to_open(named) == addresses.mlflow else addresses.mlflow
    return {
        **client_environment(home, addresses),
        HOME_VARIABLE: str(home.root),
        TRACKING_VARIABLE: tracking,
        "PREFECT_WORKER_QUERY_SECONDS": "5",
        # Stopped runs end as Crashed with a reason; without this they stay Running.
        "PREFECT_WORKER_ENABLE_CANCELLATION": "true",
    }


def with_inherited(own: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment updated with `own`; unbuffered, so that logs are current."""
    return {**environ, "PYTHONUNBUFFERED": "1", **own}
