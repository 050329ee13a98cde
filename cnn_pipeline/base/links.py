"""URLs of pages in MLflow's UI."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.redaction import is_unencoded, redacted, without_user

UI_VARIABLE = "CNN_PIPELINE_MLFLOW_UI"
DEFAULT_UI = "http://127.0.0.1:5000"
# MLflow's UI has two modes and opens in the one for language models by default.
_MODE = {"workflowType": "machine_learning"}


def ui_address() -> str:
    """URL of MLflow's UI: the tracking server, else the address of `cnn-pipeline ui`."""
    given = os.environ.get(UI_VARIABLE) or os.environ.get("MLFLOW_TRACKING_URI", "")
    return to_open(given) if given.startswith(("http://", "https://")) else DEFAULT_UI


def to_open(server: str) -> str:
    """A server's URL for a browser: without the user and password that programs need."""
    return without_user(server).rstrip("/")


def check_address(variable: str, address: str) -> None:
    """Check that a program can tell the password in an address from the server's name.

    Raises:
        InvalidInput: it cannot; says so without the password.
    """
    if is_unencoded(address):
        raise InvalidInput(
            [
                f"{variable}: special characters of the user and password must be percent-encoded, "
                f"as %2F for '/', received {redacted(address)}"
            ]
        )


def run_page(experiment_id: str, run_id: str, ui: str | None = None) -> str:
    """URL of a run."""
    return _page(f"experiments/{experiment_id}/runs/{run_id}", ui)


def view_page(experiment_id: str, view: str, ui: str | None = None, *, charts: bool = False) -> str:
    """URL of a saved view of an experiment's runs: the list, or the charts."""
    mode = {"compareRunsMode": "CHART"} if charts else {}
    return _page(f"experiments/{experiment_id}/runs", ui, viewStateShareKey=view, **mode)


def artifact_page(experiment_id: str, run_id: str, path: str) -> str:
    """URL of the page that shows an artifact of a run, relative to the UI that shows the link."""
    return f"#/experiments/{experiment_id}/runs/{run_id}/artifacts/{path}?{urlencode(_MODE)}"


def artifact_file(run_id: str, path: str) -> str:
    """URL of an artifact itself, for a picture in a note; relative to the UI that shows it."""
    return f"get-artifact?{urlencode({'path': path, 'run_uuid': run_id})}"


def model_page(experiment_id: str, model_id: str) -> str:
    """URL of a logged model, relative to the UI that shows the link."""
    return f"#/experiments/{experiment_id}/models/{model_id}?{urlencode(_MODE)}"


def view_link(experiment_id: str, view: str) -> str:
    """URL of a saved view, relative to the UI that shows the link."""
    query = urlencode({"viewStateShareKey": view, **_MODE})
    return f"#/experiments/{experiment_id}/runs?{query}"


def compare_page(experiment_id: str, run_ids: Sequence[str], ui: str | None = None) -> str:
    """URL of the page that compares some runs."""
    return _page(
        "compare-runs",
        ui,
        runs=json.dumps(list(run_ids), separators=(",", ":")),
        experiments=json.dumps([experiment_id]),
    )


def _page(route: str, ui: str | None, **parameters: str) -> str:
    query = urlencode({**parameters, **_MODE}, quote_via=quote)
    return f"{ui or ui_address()}/#/{route}?{query}"
