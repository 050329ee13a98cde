"""Only two files reach beyond MLflow's documented modules: one calls it, one is served by it."""

from __future__ import annotations

import ast
from pathlib import Path

from cnn_pipeline.tracking import undocumented

ROOT = Path(undocumented.__file__).parent.parent.parent
REACHING = {Path(undocumented.__file__), ROOT / "cnn_pipeline" / "services" / "mlflow_app.py"}
# Modules of https://mlflow.org/docs/latest/api_reference/python_api, and MLflow's own version.
DOCUMENTED = {
    "mlflow",
    "mlflow.artifacts",
    "mlflow.entities",
    "mlflow.entities.model_registry",
    "mlflow.exceptions",
    "mlflow.models",
    "mlflow.tracking",
    "mlflow.types.schema",
}


def test_nothing_else_imports_what_mlflow_does_not_document() -> None:
    found = set()
    for folder in ("cnn_pipeline", "flows"):
        for path in (ROOT / folder).rglob("*.py"):
            if path in REACHING:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    modules = {node.module} | {
                        f"{node.module}.{name.name}" for name in node.names if name.name[0] == "_"
                    } - {"mlflow.__version__"}
                elif isinstance(node, ast.Import):
                    modules = {name.name for name in node.names}
                else:
                    continue
                bad = {name for name in modules if name.partition(".")[0] == "mlflow"} - DOCUMENTED
                found |= {f"{path.relative_to(ROOT)}: {name}" for name in bad}
    assert found == set()
