"""Who may import whom: read from the source, and seen in a fresh interpreter."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "cnn_pipeline"

# Each module or folder of the package, with those of ours that it may import.
CONFIG = {"config", "errors", "faults", "hints"}
RECORDS = {"results", "plans", "events", "paths"}
ALLOWED: dict[str, set[str]] = {
    "config": set(),
    "errors": set(),
    "events": set(),
    "results": set(),
    "devices": set(),
    "kept": set(),
    "database_template": {"kept"},
    "latency": set(),
    "links": set(),
    "faults": {"hints"},
    "paths": {"errors"},
    "images": {"errors"},
    "evaluation": {"errors"},
    "plans": {"config", "errors"},
    "sweeps": CONFIG,
    "provenance": {"devices"},
    "data": {"config", "errors", "events"},
    "compiled": set(),
    "convolution": {"compiled"},
    "models": {"config", "convolution", "plans"},
    "engines": {"config", "data", "devices"},
    "content": {"config", "devices", "provenance"},
    "scheduling": {"config", "devices"},
    "reuse": CONFIG | {"content", "events", "experiment", "paths", "results", "tracking"},
    "training": {"config", "data", "devices", "engines"},
    "explain": {"errors"},
    "figures": {"errors", "evaluation", "explain"},
    "tour": CONFIG
    | {"data", "evaluation", "explain", "figures", "images", "models", "paths", "plans"}
    | {"serving", "tracking"},
    "comparison": {"config", "results"},
    "report": {"comparison", "data", "errors", "evaluation", "kept"},
    "reporting": CONFIG
    | {"comparison", "data", "evaluation", "report", "results", "sweeps", "tracking"},
    "summaries": {"config", "plans"},
    "outcome": {"evaluation", "latency", "plans", "training"},
    "messages": {"config", "events", "results"},
    "launching": {"devices", "events", "messages"},
    "fork_server": {"messages", "trainer"},
    "workers": {"events", "messages", "launching"},
    "tracking": CONFIG
    | {"data", "database_template", "evaluation", "paths", "provenance", "results"},
    "trial": CONFIG
    | RECORDS
    | {
        "data",
        "devices",
        "evaluation",
        "explain",
        "figures",
        "latency",
        "links",
        "models",
        "outcome",
        "provenance",
        "summaries",
        "sweeps",
    }
    | {"tracking", "training"},
    "scoring": {"data", "images", "loading", "messages", "latency"},
    "trainer": {
        "compiled",
        "data",
        "devices",
        "errors",
        "events",
        "garbage",
        "lean_imports",
        "messages",
        "scoring",
        "tracking",
        "training",
        "trial",
    },
    "experiment": CONFIG
    | RECORDS
    | {
        "preflight",
        "comparison",
        "content",
        "data",
        "scheduling",
        "messages",
        "report",
        "reporting",
    }
    | {"tracking", "workers"},
    "comparison_texts": {"comparison", "experiment", "kept", "paths", "provenance"},
    "lean_imports": {"devices"},
    "loading": {"errors", "lean_imports"},
    "registry": {"errors", "tracking"},
    "gate": {"comparison", "config"},
    "retraining": CONFIG
    | RECORDS
    | {"content", "experiment", "gate", "links", "messages", "provenance", "registry", "sweeps"}
    | {"tracking", "workers"},
    "serving": CONFIG | {"experiment", "images", "loading", "paths", "registry", "tracking"},
    "server": {"errors", "images", "loading", "paths", "registry", "serving", "tracking"},
    "ui": CONFIG | {"links", "paths", "tracking"},
    "watching": {"config", "experiment", "paths", "registry", "tracking"},
    "services": CONFIG | {"data", "paths", "provenance", "registry", "tracking", "ui", "watching"},
    "preflight": CONFIG | {"data", "devices", "plans"},
    "hints": set(),
    "garbage": set(),
}
TOP = {"cli"}


def unit(path: Path) -> str:
    """'data' for cnn_pipeline/data/fetch.py, 'plans' for cnn_pipeline/plans.py."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """Units of ours that a file imports, anywhere in it, type checking included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            module = node.module or ""
            names = (
                [f"{module}.{alias.name}" for alias in node.names]
                if module == "cnn_pipeline"
                else [module]
            )
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("cnn_pipeline.")}
        found |= {"flows" for name in names if name.split(".")[0] == "flows"}
    return found


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_stands_below_it(path: Path) -> None:
    own = unit(path)
    if own in TOP:
        return
    assert own in ALLOWED, f"say in ALLOWED what {own} may import"
    assert imported(path) - {own} <= ALLOWED[own]


def test_nothing_imports_the_command_line() -> None:
    users = {unit(path) for path in SOURCES if "cli" in imported(path)} - TOP
    assert users == set()


@pytest.mark.parametrize("path", sorted((PACKAGE / "compiled").glob("*.py")), ids=lambda p: p.name)
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


def test_the_rules_have_no_circle() -> None:
    done: set[str] = set()
    while len(done) < len(ALLOWED):
        ready = {name for name, below in ALLOWED.items() if below <= done | {name}} - done
        assert ready, f"a circle among {set(ALLOWED) - done}"
        done |= ready


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("cnn_pipeline.config", {"keras", "tensorflow", "numpy", "pandas", "mlflow", "prefect"}),
        ("cnn_pipeline.sweeps", {"keras", "tensorflow", "numpy", "mlflow", "prefect"}),
        ("cnn_pipeline.plans", {"keras", "tensorflow", "numpy", "mlflow", "prefect"}),
        ("cnn_pipeline.cli.app", {"keras", "tensorflow", "numpy", "pandas", "mlflow", "prefect"}),
        ("cnn_pipeline.data", {"keras", "tensorflow", "mlflow", "prefect"}),
        ("cnn_pipeline.evaluation", {"keras", "tensorflow", "mlflow", "prefect"}),
        ("cnn_pipeline.comparison", {"keras", "tensorflow", "mlflow", "prefect"}),
        ("cnn_pipeline.report", {"keras", "tensorflow", "mlflow", "prefect"}),
        ("cnn_pipeline.figures", {"keras", "tensorflow", "mlflow", "prefect"}),
        ("cnn_pipeline.models", {"mlflow", "prefect"}),
        ("cnn_pipeline.training", {"mlflow", "prefect"}),
        ("cnn_pipeline.experiment", {"keras", "tensorflow", "prefect"}),
        ("cnn_pipeline.trial", {"prefect"}),
        ("cnn_pipeline.server", {"keras", "tensorflow", "prefect"}),
        ("cnn_pipeline.gate", {"keras", "tensorflow", "mlflow", "prefect"}),
        ("cnn_pipeline.retraining.steps", {"keras", "tensorflow", "prefect"}),
        ("flows.train_variants", {"keras", "tensorflow"}),
        ("flows.retrain", {"keras", "tensorflow"}),
        ("flows.watch_data", {"keras", "tensorflow"}),
        ("cnn_pipeline.services", {"keras", "tensorflow", "prefect"}),
    ],
)
def test_importing_pulls_in_no_more_than_it_must(module: str, forbidden: set[str]) -> None:
    assert loaded_by(module) & forbidden == set()
