"""Addresses of pages in MLflow's UI."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from cnn_pipeline.base import links


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("CNN_PIPELINE_MLFLOW_UI", raising=False)


def test_the_pages_of_a_ui() -> None:
    ui = "http://127.0.0.1:5001"
    face = "workflowType=machine_learning"
    runs = f"{ui}/#/experiments/3/runs"
    assert links.run_page("3", "ab12", ui) == f"{runs}/ab12?{face}"
    assert links.view_page("3", "one", ui) == f"{runs}?viewStateShareKey=one&{face}"
    charts = links.view_page("3", "one", ui, charts=True)
    assert charts == f"{runs}?viewStateShareKey=one&compareRunsMode=CHART&{face}"
    assert links.model_page("3", "m-9") == f"#/experiments/3/models/m-9?{face}"


def test_the_compare_view_lists_runs_and_experiment_as_json() -> None:
    page = links.compare_page("3", ["ab12", "cd34"], "http://127.0.0.1:5001")
    assert " " not in page
    assert '"' not in page
    route, _, query = urlsplit(page).fragment.partition("?")
    assert route == "/compare-runs"
    values = {name: value for name, (value,) in parse_qs(query).items()}
    assert values.pop("workflowType") == "machine_learning"
    assert {name: json.loads(value) for name, value in values.items()} == {
        "runs": ["ab12", "cd34"],
        "experiments": ["3"],
    }


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, "http://127.0.0.1:5000"),
        ({"MLFLOW_TRACKING_URI": "https://host/mlflow/"}, "https://host/mlflow"),
        ({"MLFLOW_TRACKING_URI": "sqlite:////home/me/mlflow.db"}, "http://127.0.0.1:5000"),
        (
            {"MLFLOW_TRACKING_URI": "http://inside:5000", "CNN_PIPELINE_MLFLOW_UI": "https://out/"},
            "https://out",
        ),
        ({"MLFLOW_TRACKING_URI": "http://ann:s3cr3t@host:5000"}, "http://host:5000"),
    ],
)
def test_where_the_ui_is(
    environment: dict[str, str], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert links.ui_address() == address
    assert links.run_page("3", "ab12").startswith(f"{address}/#/")
