"""What an import loads, seen in a fresh interpreter; who may import whom is a contract.

The order of the wings is import-linter's `layers` contract in pyproject.toml (`make check`). A
linter cannot see what a library loads by itself: that is what these tests look at.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent.parent / "cnn_pipeline"
WATCHED = ("pandas", "mlflow", "numpy", "keras", "tensorflow", "prefect", "altair")

# In the order of the floors, so that one interpreter shows what each adds: every module, and what
# of WATCHED may be loaded once it has been imported.
FLOORS: tuple[tuple[str, set[str]], ...] = (
    ("cnn_pipeline.base.home", set()),
    ("cnn_pipeline.settings.trial", set()),
    ("cnn_pipeline.settings.named", set()),
    ("cnn_pipeline.settings.command_line", set()),
    ("cnn_pipeline.network.plan", set()),
    ("cnn_pipeline.network.results", set()),
    ("cnn_pipeline.trainers.pool", set()),
    ("cnn_pipeline.services.control", set()),
    ("cnn_pipeline.cli.app", set()),
    ("cnn_pipeline.data.dataset", {"numpy"}),
    ("cnn_pipeline.experiment.preflight", {"numpy"}),
    ("cnn_pipeline.network.evaluation", {"numpy", "pandas"}),
    ("cnn_pipeline.explain.plots.journey", {"numpy", "pandas"}),
    ("cnn_pipeline.comparison.compare", {"numpy", "pandas"}),
    ("cnn_pipeline.comparison.report.data", {"numpy", "pandas"}),
    ("cnn_pipeline.champion.gate", {"numpy", "pandas"}),
    ("cnn_pipeline.experiment.run", {"numpy", "pandas"}),
    ("cnn_pipeline.tracking.reader", {"numpy", "pandas", "mlflow"}),
    ("cnn_pipeline.champion.retraining.steps", {"numpy", "pandas", "mlflow"}),
    ("cnn_pipeline.champion.server.process", {"numpy", "pandas", "mlflow"}),
    ("flows.train_variants", {"numpy", "pandas", "mlflow", "prefect"}),
    ("flows.retrain", {"numpy", "pandas", "mlflow", "prefect"}),
    ("flows.watch_data", {"numpy", "pandas", "mlflow", "prefect"}),
    ("cnn_pipeline.comparison.report.page", {"numpy", "pandas", "mlflow", "prefect", "altair"}),
)
SCRIPT = """
import importlib, json, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
    print(json.dumps([name, [one for one in json.loads(sys.argv[1]) if one in sys.modules]]))
"""


def loaded_after(*modules: str) -> dict[str, set[str]]:
    """What of WATCHED is loaded after each of `modules`, imported in turn."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(WATCHED), *modules],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return {name: set(found) for name, found in map(json.loads, done.stdout.splitlines())}


def test_a_floor_loads_no_library_that_it_need_not() -> None:
    found = loaded_after(*(module for module, _ in FLOORS))
    assert {
        module: found[module] - allowed for module, allowed in FLOORS if found[module] - allowed
    } == {}


@pytest.mark.slow
def test_the_network_and_a_trial_need_no_prefect_and_the_network_no_mlflow() -> None:
    found = loaded_after(
        "cnn_pipeline.network.build", "cnn_pipeline.network.train", "cnn_pipeline.trainers.trial"
    )
    assert "keras" in found["cnn_pipeline.network.build"]
    assert not found["cnn_pipeline.network.train"] & {"mlflow", "prefect"}
    assert not found["cnn_pipeline.trainers.trial"] & {"prefect", "altair"}


def test_there_are_twelve_packages_and_no_module_beside_them() -> None:
    entries = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert entries == {
        "__init__.py", "base", "settings", "data", "network", "tracking", "explain", "comparison",
        "trainers", "services", "experiment", "champion", "cli",
    }  # fmt: skip


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "network" / "compiled").glob("*.py")), ids=lambda p: p.name
)
def test_compiled_code_calls_nothing_compiled_in_another_file(path: Path) -> None:
    """Numba keeps a function's code for as long as that function's own file does not change."""
    text = path.read_text("utf-8")
    names = {
        alias.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cnn_pipeline")
        for alias in node.names
    }
    assert "@compiled" not in text or names == {"compiled"}
