"""URLs of pages in MLflow's UI."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from urllib.parse import quote, urlencode

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
    return re.sub(r"(?<=://)[^/]*@", "", server).rstrip("/")


def run_page(experiment_id: str, run_id: str, ui: str | None = None) -> str:
    """URL of a run."""
    return _page(f"experiments/{experiment_id}/runs/{run_id}", ui)


def view_page(experiment_id: str, view: str, ui: str | None = None, *, charts: bool = False) -> str:
    """URL of a saved view of an experiment's runs: the list, or the charts."""
    mode = {"compareRunsMode": "CHART"} if charts else {}
    return _page(f"experiments/{experiment_id}/runs", ui, viewStateShareKey=view, **mode)


def model_page(experiment_id: str, model_id: str) -> str:
    """URL of a logged model, relative to the UI that shows the link."""
    return f"#/experiments/{experiment_id}/models/{model_id}?{urlencode(_MODE)}"


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
