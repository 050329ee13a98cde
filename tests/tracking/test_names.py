"""Each name of a metric, tag or param is spelled in one file only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from cnn_pipeline.base import metric_names
from cnn_pipeline.network.history import Epoch
from cnn_pipeline.tracking import names

ROOT = Path(names.__file__).parent.parent.parent
OWNERS = (Path(metric_names.__file__), Path(names.__file__))
FILES = sorted(
    path
    for folder in ("cnn_pipeline", "flows")
    for path in (ROOT / folder).rglob("*.py")
    if path not in OWNERS
)
NAMES = {
    value
    for module in (metric_names, names)
    for constant, value in vars(module).items()
    if constant.isupper() and isinstance(value, str)
}
# Names that no other word of the code is spelled like, wherever they stand in a string.
DISTINCT = {name for name in NAMES if re.search(r"[a-z][_.][a-z]", name)}
# What the same word also names: columns of a table, keys of a file or of a printed JSON, a
# parameter in an error message, and a field of MLflow's.
OTHERS = {
    "champion/server/app.py": {names.CLASS_NAMES, names.IMAGE_SHAPE},
    "cli/commands/compare.py": {metric_names.TEST_ACCURACY},
    "cli/commands/run.py": {names.SWEEP_ID, names.PARENT_RUN_ID},
    # Default columns, in the help of its flags.
    "cli/commands/verdict.py": {
        metric_names.TEST_ACCURACY,
        metric_names.VAL_ACCURACY,
        metric_names.VAL_ACCURACY_FINAL,
    },
    "comparison/compare.py": {names.NUM_VALIDATION, names.NUM_TEST},
    # Columns of the leaderboard, named by their users as `--columns`.
    "comparison/chosen_columns.py": {
        value for value in vars(metric_names).values() if isinstance(value, str)
    },
    "comparison/report/page.py": {names.CLASS_NAMES},
    "data/arrays.py": {names.CLASS_NAMES},
    "data/picture.py": {names.IMAGE_SHAPE},
    "experiment/comparison_cache.py": {names.SWEEP_ID},
    "network/checkpoint.py": {names.STOP_REASON},
    # Of a .keras file.
    "network/load.py": {names.CONFIG_FILE},
    "network/summary.py": {names.IMAGE_SHAPE},
    "tracking/inputs.py": {names.IMAGE_SHAPE},
    "tracking/writer.py": {names.MODEL_ID},
}


def strings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Every string of a module that is not a docstring."""
    docs = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node


def looked_up(tree: ast.AST) -> Iterator[str]:
    """Literal keys by which tags, params and metrics are read: `tags["x"]`, `metrics.get("x")`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            key: ast.expr | None = node.slice
            holder: ast.expr = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            key, holder = node.args[0], node.func.value
            if node.func.attr in ("metric", "mean") and isinstance(key, ast.Constant):
                yield str(key.value)
                continue
            if node.func.attr != "get":
                continue
        else:
            continue
        name = getattr(holder, "attr", getattr(holder, "id", ""))
        literal = isinstance(key, ast.Constant) and isinstance(key.value, str)
        # Not what a web page asks with.
        if literal and re.fullmatch(r"(?!query_)\w*(tags|metrics|params)", name):
            yield key.value  # type: ignore[union-attr]


def test_names_are_not_spelled_elsewhere() -> None:
    spelled = {}
    for path in FILES:
        where = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        allowed = OTHERS.get(where.removeprefix("cnn_pipeline/"), set())
        words = {w for node in strings(tree) for w in re.findall(r"[\w.]+", node.value)}
        spelled[where] = (DISTINCT & words - allowed) | set(looked_up(tree))
    assert {where: found for where, found in spelled.items() if found} == {}


def test_curves_are_the_fields_of_an_epoch() -> None:
    assert set(metric_names.CURVES) < set(Epoch.__dataclass_fields__)


def test_the_metrics_of_an_expectation_are_constants() -> None:
    assert set(get_args(metric_names.ExpectedMetric)) <= NAMES
