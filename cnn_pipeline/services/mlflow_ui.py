"""Serve MLflow's UI on this machine and open it at the last sweep."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import webbrowser
from collections.abc import Callable
from typing import TYPE_CHECKING

from cnn_pipeline.base import links
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.services import mlflow_app
from cnn_pipeline.services.loopback import HOST, UVICORN_HTTP, port_is_free, wait_until_healthy

if TYPE_CHECKING:
    from cnn_pipeline.tracking.reader import Reader

# The server is given up if it uses no processor time for so long before it answers.
_START_SECONDS = 60


def serve(
    home: Home,
    port: int,
    *,
    open_browser: bool,
    say: Callable[[str], None],
    ready: Callable[[str], None],
) -> None:
    """Serve the store under `home` on the loopback address until Ctrl-C.

    `say` is told the steps, and `ready` the pages once the server answers. If MLFLOW_TRACKING_URI
    is the address of a server, no server is started; the pages are that server's.

    Raises:
        UserError: there is no sweep yet, the port is taken, or the server does not answer.
    """
    from cnn_pipeline.tracking.reader import Reader
    from cnn_pipeline.tracking.store import open_store  # MLflow takes a second to import

    store = open_store(home, os.environ, create=False)
    if store.uri.startswith(("http://", "https://")):
        ready(_shown(Reader(store), links.to_open(store.uri), open_browser=open_browser))
        return
    if not port_is_free(port):
        raise UserError(
            f"port {port} must be free, but it is in use. If MLflow uses it, open "
            f"http://{HOST}:{port}; else choose another port with --port N."
        )
    address = f"http://{HOST}:{port}"
    # Each must stop the server, like Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    say("starting MLflow's server")
    pressed: list[int] = []  # Ctrl-C before `server` is known would leave it behind
    usual = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    server = subprocess.Popen(
        server_command(port),
        env={**os.environ, **server_environment(store.uri, store.artifacts_uri)},
        start_new_session=True,  # Ctrl-C while it starts would print its traceback
    )
    try:
        signal.signal(signal.SIGINT, usual)
        if pressed:
            return
        if not wait_until_healthy(address, server, _START_SECONDS):
            if server.poll() is not None:
                raise UserError(f"MLflow's server ended with status {server.returncode}; see above")
            raise UserError(
                f"MLflow's server does not answer at {address}, and did nothing for "
                f"{_START_SECONDS} s. Try again, or choose another port with --port N."
            )
        pages = _shown(Reader(store), address, open_browser=open_browser)
        ready(f"{pages}\nPress Ctrl-C to stop.")
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.terminate()
        server.wait()


def server_environment(store_uri: str, artifacts_uri: str | None) -> dict[str, str]:
    """Variables of an MLflow server.

    The store is named here, because a command line is shown to every user of the machine, and the
    address of a database may hold a password.
    """
    root = {"MLFLOW_DEFAULT_ARTIFACT_ROOT": artifacts_uri} if artifacts_uri else {}
    return {
        "MLFLOW_BACKEND_STORE_URI": store_uri,
        # It is the default, but MLflow prints a line about it unless it is given.
        "MLFLOW_REGISTRY_STORE_URI": store_uri,
        **root,
        # Not needed here: running jobs, the gateway to language models, telemetry.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
    }


def server_command(port: int) -> list[str]:
    """The command line of an MLflow server that listens on the loopback address only."""
    return [
        sys.executable, "-m", "mlflow", "server",
        "--host", HOST,
        "--port", str(port),
        "--workers", "1",
        "--allowed-hosts", f"{HOST}:{port},localhost:{port}",
        *mlflow_app.options(),
        "--uvicorn-opts", f"--log-level warning --http {UVICORN_HTTP}",
    ]  # fmt: skip


def last_sweep_page(reader: Reader, address: str) -> str:
    """URL of the comparison of the last sweep's finished trials; of a single trial, its page."""
    record = reader.sweep(None)
    finished = [result.run_id for result in reader.trials(record) if result.finished]
    if len(finished) < 2:
        return links.run_page(record.experiment_id, (finished or [record.run_id])[0], address)
    return links.compare_page(record.experiment_id, finished, address)


def _shown(reader: Reader, address: str, *, open_browser: bool) -> str:
    """The pages of the last sweep, opened in the browser if asked."""
    page = last_sweep_page(reader, address)
    record = reader.sweep(None)
    runs = links.view_page(record.experiment_id, record.sweep.name, address)
    charts = links.view_page(record.experiment_id, record.sweep.name, address, charts=True)
    if open_browser:
        webbrowser.open(page)
        webbrowser.open(runs)
    return f"Runs:          {runs}\nCharts:        {charts}\nCompare view:  {page}"
