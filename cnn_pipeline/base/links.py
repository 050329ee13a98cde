"""Addresses of pages in MLflow's UI."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from urllib.parse import quote, urlencode

UI_VARIABLE = "CNN_PIPELINE_MLFLOW_UI"
DEFAULT_UI = "http://127.0.0.1:5000"
# MLflow's UI has two faces; a page that asks for none opens with the one for language models.
_FACE = {"workflowType": "machine_learning"}


def ui_address() -> str:
    """Where MLflow's UI is: the tracking server, else where `cnn-pipeline ui` serves it."""
    given = os.environ.get(UI_VARIABLE) or os.environ.get("MLFLOW_TRACKING_URI", "")
    return to_open(given) if given.startswith(("http://", "https://")) else DEFAULT_UI


def to_open(server: str) -> str:
    """A server's address for a browser: without user and password, which are for programs."""
    return re.sub(r"(?<=://)[^/]*@", "", server).rstrip("/")


def run_page(experiment_id: str, run_id: str, ui: str | None = None) -> str:
    """One run."""
    return _page(f"experiments/{experiment_id}/runs/{run_id}", ui)


def view_page(experiment_id: str, view: str, ui: str | None = None, *, charts: bool = False) -> str:
    """A saved view of one experiment's runs: the list, or the charts."""
    mode = {"compareRunsMode": "CHART"} if charts else {}
    return _page(f"experiments/{experiment_id}/runs", ui, viewStateShareKey=view, **mode)


def model_page(experiment_id: str, model_id: str) -> str:
    """One logged model, relative to whichever UI shows the link."""
    return f"#/experiments/{experiment_id}/models/{model_id}?{urlencode(_FACE)}"


def compare_page(experiment_id: str, run_ids: Sequence[str], ui: str | None = None) -> str:
    """The compare view of some runs."""
    return _page(
        "compare-runs",
        ui,
        runs=json.dumps(list(run_ids), separators=(",", ":")),
        experiments=json.dumps([experiment_id]),
    )


def _page(route: str, ui: str | None, **parameters: str) -> str:
    query = urlencode({**parameters, **_FACE}, quote_via=quote)
    return f"{ui or ui_address()}/#/{route}?{query}"
