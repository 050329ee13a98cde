"""Serve MLflow's UI on this machine and open it at the last sweep."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import webbrowser
from typing import TYPE_CHECKING

from cnn_pipeline.base import links
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.services.loopback import HOST, port_is_free, wait_until_healthy

if TYPE_CHECKING:
    from cnn_pipeline.tracking.reader import Reader

_START_SECONDS = 60
# Features that are not needed here: running jobs, the gateway to language models, telemetry.
SERVER_ENVIRONMENT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ENABLE_AI_GATEWAY": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PYTHONWARNINGS": "ignore",
}


def serve(home: Home, port: int, *, open_browser: bool) -> None:
    """Serve the store under `home` on the loopback address until Ctrl-C, and print its pages.

    If MLFLOW_TRACKING_URI is the address of a server, no server is started; its pages are printed.

    Raises:
        UserError: there is no sweep yet, the port is taken, or the server does not answer.
    """
    from cnn_pipeline.tracking.reader import Reader
    from cnn_pipeline.tracking.store import open_store  # MLflow takes a second to import

    store = open_store(home, os.environ, create=False)
    if store.uri.startswith(("http://", "https://")):
        _show(Reader(store), links.to_open(store.uri), open_browser=open_browser)
        return
    if not port_is_free(port):
        raise UserError(
            f"port {port} must be free, but it is in use. If MLflow uses it, open "
            f"http://{HOST}:{port}; else choose another port with --port N."
        )
    address = f"http://{HOST}:{port}"
    # SIGTERM must stop the server as well, like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = subprocess.Popen(
        server_command(store.uri, store.artifacts_uri, port),
        env={**os.environ, **SERVER_ENVIRONMENT},
    )
    try:
        if not wait_until_healthy(address, server, _START_SECONDS):
            if server.poll() is not None:
                raise UserError(f"MLflow's server ended with status {server.returncode}; see above")
            raise UserError(f"MLflow's server did not answer at {address} in {_START_SECONDS} s")
        _show(Reader(store), address, open_browser=open_browser)
        _say("Press Ctrl-C to stop.")
        server.wait()
    except KeyboardInterrupt:
        _say("")
    finally:
        server.terminate()
        server.wait()


def server_command(store_uri: str, artifacts_uri: str | None, port: int) -> list[str]:
    """The command line of an MLflow server that listens on the loopback address only."""
    root = ["--default-artifact-root", artifacts_uri] if artifacts_uri else []
    return [
        sys.executable, "-m", "mlflow", "server",
        "--backend-store-uri", store_uri,
        # It is the default, but MLflow prints a line about it unless it is given.
        "--registry-store-uri", store_uri,
        *root,
        "--host", HOST,
        "--port", str(port),
        "--workers", "1",
        "--allowed-hosts", f"{HOST}:{port},localhost:{port}",
        "--uvicorn-opts", "--log-level warning",
    ]  # fmt: skip


def last_sweep_page(reader: Reader, address: str) -> str:
    """URL of the comparison of the last sweep's finished trials; of a single trial, its page."""
    record = reader.sweep(None)
    finished = [result.run_id for result in reader.trials(record) if result.finished]
    if len(finished) < 2:
        return links.run_page(record.experiment_id, (finished or [record.run_id])[0], address)
    return links.compare_page(record.experiment_id, finished, address)


def _show(reader: Reader, address: str, *, open_browser: bool) -> None:
    page = last_sweep_page(reader, address)
    record = reader.sweep(None)
    runs = links.view_page(record.experiment_id, record.sweep.name, address)
    charts = links.view_page(record.experiment_id, record.sweep.name, address, charts=True)
    _say(f"Runs:          {runs}")
    _say(f"Charts:        {charts}")
    _say(f"Compare view:  {page}")
    if open_browser:
        webbrowser.open(page)
        webbrowser.open(runs)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
