"""What MLflow's list of runs shows of a sweep: columns, order and charts, saved as a view.

MLflow 3 keeps a saved view as a tag of the experiment. Its page lists them under 'Views' and
opens the one whose key stands in the address (see `links.view_page`). The form is MLflow's own
and is documented by its source only: `savedViewEnvelope.ts`, `ExperimentPageUIState.tsx` and
`runs-charts.types.ts` in mlflow/server/js. A view that a later MLflow cannot read is reported
there and the plain page opens; no run depends on it.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from cnn_pipeline.base import metric_names
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.tracking import names

TAG_PREFIX = "mlflow.sharedViewState."
# What a sweep asks about, so shown also where it does not vary.
_ALWAYS = ("filters", "pooling")
_METRICS = (
    metric_names.VAL_ACCURACY_FINAL,
    metric_names.TEST_ACCURACY,
    metric_names.NUM_PARAMS,
    metric_names.MACS,
    metric_names.TRAIN_SECONDS,
    metric_names.LATENCY_MS,
)
_CURVES = (
    metric_names.VAL_ACCURACY,
    metric_names.VAL_LOSS,
    metric_names.ACCURACY,
    metric_names.LOSS,
)
# Sections that MLflow makes for every other metric; closed, because there are dozens of charts.
_CLOSED_SECTIONS = (
    metric_names.CLASS_F1,
    metric_names.CLASS_PRECISION,
    metric_names.CLASS_RECALL,
    metric_names.TIME,
    "Model metrics",
    "System metrics",
)
_PARAM_PIXELS, _METRIC_PIXELS = 80, 120
# Colours that are told apart without red and green too (Okabe and Ito, 2008), darkened once for
# a second round. By itself MLflow gives runs colours by their ids, often one colour to several.
_COLORS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
    "#004c77", "#8e3f00", "#006a4d", "#88516f", "#997000", "#3a789b",
)  # fmt: skip


def view_tag(sweep: Sweep, sweep_id: str, created_ms: int) -> tuple[str, str]:
    """Key and value of the experiment's tag that holds the view of this sweep's runs.

    The key is the sweep's name, so the next sweep of that name replaces the view: a nightly
    retraining leaves one, not hundreds.

    Args:
        sweep: what runs.
        sweep_id: the runs to show.
        created_ms: now, milliseconds since 1970.
    """
    state = base64.b64encode(zlib.compress(json.dumps(_state(sweep, sweep_id)).encode())).decode()
    envelope = {
        "name": f"{sweep.name}: latest sweep",
        "createdAt": created_ms,
        "updatedAt": created_ms,
        # Packed, because MLflow holds 5000 characters of an experiment's tag.
        "state": f"deflate;{state}",
    }
    return TAG_PREFIX + sweep.name, json.dumps(envelope)


def varying_params(sweep: Sweep) -> tuple[str, ...]:
    """Names of the params that tell this sweep's trials apart, filters and pooling first."""
    values: dict[str, set[str]] = {}
    for trial in sweep.trials():
        settings = {
            **trial.variant.model_dump(mode="json", exclude=trial.variant.unused),
            **trial.training.model_dump(mode="json"),
            names.SEED: trial.seed,
        }
        for name, value in settings.items():
            values.setdefault(name, set()).add(json.dumps(value))
    others = [name for name, seen in values.items() if len(seen) > 1 and name not in _ALWAYS]
    return (*_ALWAYS, *others)


def run_colors(sweep: Sweep) -> dict[str, str]:
    """A colour for each variant by label, '#rrggbb': seeds of one variant share it."""
    labels = dict.fromkeys(trial.label for trial in sweep.trials())
    return {label: _COLORS[number % len(_COLORS)] for number, label in enumerate(labels)}


def _state(sweep: Sweep, sweep_id: str) -> dict[str, Any]:
    params = varying_params(sweep)
    widths = {
        "attributes.`Run Name`": 190,
        "runDateAndNestInfo": 145,  # when it was created
        **{f"params.`{name}`": _PARAM_PIXELS for name in params},
        **{f"metrics.`{name}`": _METRIC_PIXELS for name in _METRICS},
        "duration": 80,
        "attributes.`Dataset`": 250,
        "attributes.`Models`": 120,
    }
    columns = [name for name in widths if "`" in name and "Run Name" not in name]
    return {
        # A filtered list is flat: its rows need not be expanded, which no view could ask for.
        "searchFilter": f"tags.{names.SWEEP_ID} = '{sweep_id}'",
        "orderByKey": f"metrics.`{metric_names.VAL_ACCURACY_FINAL}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": columns,
        "columnOrder": list(widths),
        "columnWidths": widths,
        "runsHiddenMode": "SHOW_ALL",
        "compareRunSections": _sections(),
        "compareRunCharts": list(_charts(params)),
        # Else MLflow sorts the sections by name.
        "isAccordionReordered": True,
    }


def _sections() -> list[dict[str, Any]]:
    return [
        _section("comparison", "Comparison", columns=2),
        _section("curves", "Learning curves", columns=2),
        *(_section(name, name, display=False) for name in _CLOSED_SECTIONS),
    ]


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


def _charts(params: Sequence[str]) -> Iterable[dict[str, Any]]:
    yield _chart(
        "comparison",
        "PARALLEL",
        "settings",
        "Settings and test accuracy",
        selectedParams=list(params),
        selectedMetrics=[metric_names.TEST_ACCURACY],
        showAllRuns=True,
    )
    for name in _METRICS:
        yield _chart("comparison", "BAR", name, name, metricKey=name)
    for name in _CURVES:
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
