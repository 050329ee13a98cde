"""What this project uses of MLflow beyond its documented API: look here before an upgrade.

Each piece says what it relies on, since which version of MLflow that works, and how a break shows.
Four names in `tracking/names.py` belong here, too:

- `EXPERIMENT_KIND`: a tag that MLflow's UI reads. Since 3.4 or a little earlier. With it an older
  UI opens the runs instead of the page for language models; that of 3.17 ignores it.
- `COLOR`: a tag that the UI reads. Since 3.0. Without it colours follow from run ids.
- `HIDDEN_PREFIX`: the UI hides tags of a registered model that start with it. Since 3.0. If it
  breaks: the model's page begins with JSON (`tests/e2e/test_mlflow_ui.py`).
- `MODEL_FILE`: the path of the `.keras` file below a logged model. Since 3.0. If it changes,
  logging a model fails, because the file is read back.

Two more stand in `base`, because processes without MLflow use them: addresses of pages in its UI
(`base/links.py`) and copies of its migrated, empty database (`base/empty_database.py`). One runs in
MLflow's server: the mode in which its pages open (`services/mlflow_app.py`).
"""

from __future__ import annotations

import base64
import json
import logging
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

from cnn_pipeline.base.home import TRACKING_VARIABLE

MAX_TAG_CHARACTERS: int = MAX_TAG_VAL_LENGTH
"""Length of a run's tag; a longer one raises.

Relies on: a constant's name; documented are 5000 for every store. Since: 3.0. If it breaks: nothing
that writes runs can be imported.
"""
VIEW_PREFIX = "mlflow.sharedViewState."
_PARAM_PIXELS, _METRIC_PIXELS = 80, 120


@dataclass(frozen=True)
class View:
    """A view of an experiment's runs: the list with its columns and order, and the charts."""

    key: str
    """Stands in the address of the page (`links.view_page`)."""
    name: str
    condition: str
    """Filter of the runs. A filtered list is flat: no view can expand a row."""
    params: Sequence[str]
    metrics: Sequence[str]
    """Each gets a column and a bar chart."""
    columns: Sequence[str] = field(default=(), kw_only=True)
    """Metrics with a column alone."""
    order: str
    """The column that orders the list, the highest or newest on top."""
    curves: Sequence[str]
    """Metrics with a line chart."""
    against: str
    """The metric beside `params` in the chart of parallel coordinates."""
    widths: Mapping[str, int] = field(default_factory=dict)
    """Pixels of the columns of some params; others have 80."""
    closed: Sequence[str] = ()
    """Sections that MLflow makes by itself and that start closed."""


def saved_view(view: View, created_ms: int) -> tuple[str, str]:
    """Key and value of the experiment's tag that holds a view.

    MLflow 3 lists such tags under 'Views'. `created_ms` is now, in milliseconds since 1970.

    Relies on: the prefix of the tag and the JSON in it, which are documented by MLflow's UI alone
    (`savedViewEnvelope.ts`, `ExperimentPageUIState.tsx` and `runs-charts.types.ts` in
    mlflow/server/js). Since: 3.0; a name in the list of views since 3.17. If it breaks: the UI says
    that it cannot read the view and opens the plain list (`tests/e2e/test_mlflow_ui.py`).
    """
    state = base64.b64encode(zlib.compress(json.dumps(_state(view)).encode())).decode()
    envelope = {
        "name": view.name,
        "createdAt": created_ms,
        "updatedAt": created_ms,
        # Compressed, because MLflow's table holds 5000 characters of an experiment's tag.
        "state": f"deflate;{state}",
    }
    return VIEW_PREFIX + view.key, json.dumps(envelope)


def _state(view: View) -> dict[str, Any]:
    widths = {
        "attributes.`Run Name`": 190,
        "runDateAndNestInfo": 145,  # when it was created
        **{f"params.`{name}`": view.widths.get(name, _PARAM_PIXELS) for name in view.params},
        **{f"metrics.`{name}`": _METRIC_PIXELS for name in (*view.columns, *view.metrics)},
        "duration": 80,
        "attributes.`Dataset`": 250,
        "attributes.`Models`": 120,
    }
    columns = [name for name in widths if "`" in name and "Run Name" not in name]
    return {
        "searchFilter": view.condition,
        "orderByKey": view.order,
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": columns,
        "columnOrder": list(widths),
        "columnWidths": widths,
        "runsHiddenMode": "SHOW_ALL",
        "compareRunSections": [
            _section("comparison", "Comparison", columns=2),
            _section("curves", "Learning curves", columns=2),
            *(_section(name, name, display=False) for name in view.closed),
        ],
        "compareRunCharts": list(_charts(view)),
        # Otherwise MLflow sorts the sections by name.
        "isAccordionReordered": True,
    }


def _section(key: str, name: str, *, columns: int = 3, display: bool = True) -> dict[str, Any]:
    return {
        "uuid": key,
        "name": name,
        "display": display,
        "columns": columns,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
    }


def _charts(view: View) -> Iterable[dict[str, Any]]:
    yield _chart(
        "comparison",
        "PARALLEL",
        "settings",
        "Settings and test accuracy",
        selectedParams=list(view.params),
        selectedMetrics=[view.against],
        showAllRuns=True,
    )
    for name in view.metrics:
        yield _chart("comparison", "BAR", name, name, metricKey=name)
    for name in view.curves:
        yield _chart(
            "curves",
            "LINE",
            name,
            name,
            metricKey=name,
            selectedMetricKeys=[name],
            xAxisKey="step",
            useGlobalXaxisKey=True,
            useGlobalLineSmoothing=True,
        )


def _chart(section: str, kind: str, key: str, title: str, **settings: Any) -> dict[str, Any]:
    return {
        "uuid": f"{section}-{key}",
        "type": kind,
        "metricSectionId": section,
        "displayName": title,
        "runsCountToCompare": 100,
        "deleted": False,
        "isGenerated": False,
        **settings,
    }


def dataset_schema(image_shape: tuple[int, int, int]) -> str:
    """Schema of a data set of uint8 images and int64 labels, for `mlflow.entities.Dataset`.

    Relies on: the text in which MLflow stores a tensor schema. Since: 3.0. If it breaks: the UI
    shows no schema of a run's data; nothing else reads it.
    """

    def tensor(dtype: str, *shape: int) -> str:
        return json.dumps([{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}])

    tensors = {"features": tensor("uint8", -1, *image_shape), "targets": tensor("int64", -1)}
    return json.dumps({"mlflow_tensorspec": tensors})


def table_json(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table as `mlflow.log_table` stores it, which MLflow's UI shows as a table.

    Relies on: the form in which pandas writes it for MLflow. Since: 3.0. If it breaks: the UI
    shows the JSON itself.
    """
    return json.dumps({"columns": list(columns), "data": [list(row) for row in rows]})


@contextmanager
def as_default(uri: str) -> Iterator[None]:
    """Make `uri` MLflow's default address for the process, and restore it after the block.

    `log_model` and some calls of the registry use the default address only. MLflow writes it into
    the environment, where every child process would find it, so the variable is restored too.

    Relies on: `set_tracking_uri` setting and unsetting `MLFLOW_TRACKING_URI`. Since: 3.0. If it
    breaks: `tests/tracking/test_store.py` fails.
    """
    import mlflow

    before = os.environ.get(TRACKING_VARIABLE)
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)
        if before is not None:
            os.environ[TRACKING_VARIABLE] = before


@contextmanager
def active_run(uri: str, run_id: str) -> Iterator[None]:
    """Make a run of the store at `uri` the active one, and leave it RUNNING after the block.

    `mlflow.start_run` as a context manager would set the run to FINISHED.

    Relies on: `end_run` accepting RUNNING. Since: 3.0. If it breaks:
    `tests/tracking/test_models.py` fails.
    """
    import mlflow

    with as_default(uri):
        mlflow.start_run(run_id=run_id)
        try:
            yield
        finally:
            mlflow.end_run("RUNNING")


@contextmanager
def without_requirements_check() -> Iterator[None]:
    """Skip `log_model`'s comparison of a model's requirements with the installed packages.

    Ours are the installed versions. To find a version, MLflow first lists the modules of every
    installed package, which takes a second per process, and no setting turns that off.

    Relies on: the name of a function in `mlflow.utils.environment`. Since: 3.0. If it breaks:
    logging a model raises AttributeError, or takes a second longer.
    """
    from mlflow.utils import environment

    compare = environment.warn_dependency_requirement_mismatches
    environment.warn_dependency_requirement_mismatches = lambda _requirements: None
    try:
        yield
    finally:
        environment.warn_dependency_requirement_mismatches = compare


def quiet_migrations() -> None:
    """Keep MLflow's log lines about its database off a terminal that shows progress.

    They are about migrations, and tracebacks of errors that are raised anyway.

    Relies on: names of loggers. Since: 3.0. If it breaks: the lines are on the screen.
    """
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def latest_schema() -> str:
    """Revision of the database schema that the installed MLflow needs.

    Relies on: a private function, which `mlflow db upgrade` uses. Since: 3.0. If it breaks:
    `cnn-pipeline doctor` raises ImportError.
    """
    from mlflow.store.db.utils import _get_latest_schema_revision

    return str(_get_latest_schema_revision())


def allow_folders() -> None:
    """Let MLflow read a file store, a folder such as `mlruns`, unless the user has refused it.

    Relies on: a variable that MLflow's own error names. Since: 3.17. If it breaks: folders are
    refused with that error.
    """
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")


def artifact_repository(uri: str) -> Any:
    """What reads and writes artifacts at an address, as MLflow's server does.

    Relies on: the name of that module and of its function. Since: 1.0. If it breaks: `up
    --artifacts` and `doctor` raise ImportError.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(uri)


def preload_store() -> None:
    """Import what MLflow imports at the first access to a store in a database.

    Relies on: the name of that module. Since: 3.0. If it breaks: trainers do not start.
    """
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
