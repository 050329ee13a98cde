"""The saved view of a sweep in MLflow: which columns, order and charts, and the runs' colours."""

from __future__ import annotations

import json

from cnn_pipeline.base import metric_names
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.undocumented import View, saved_view

# Shown even if they do not vary: most sweeps ask about them.
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
# MLflow makes sections for all other metrics: dozens of charts.
_CLOSED_SECTIONS = (
    metric_names.CLASS_F1,
    metric_names.CLASS_PRECISION,
    metric_names.CLASS_RECALL,
    metric_names.TIME,
    "Model metrics",
    "System metrics",
)
# Told apart by colour-blind readers, too (Okabe and Ito, 2008), and darkened for a second round.
# MLflow's own colours follow from run ids, and several runs often share one.
_COLORS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
    "#004c77", "#8e3f00", "#006a4d", "#88516f", "#997000", "#3a789b",
)  # fmt: skip


def view_tag(sweep: Sweep, sweep_id: str, created_ms: int) -> tuple[str, str]:
    """Key and value of the experiment's tag that holds the view of one sweep's runs.

    The key is the sweep's name, so the next sweep of that name replaces the view: a nightly
    retraining leaves one view, not hundreds.

    Args:
        sweep: the settings, which say what varies.
        sweep_id: the sweep whose runs are shown.
        created_ms: now, milliseconds since 1970.
    """
    view = View(
        key=sweep.name,
        name=f"{sweep.name}: latest sweep",
        condition=f"tags.{names.SWEEP_ID} = '{sweep_id}'",
        params=varying_params(sweep),
        metrics=_METRICS,
        curves=_CURVES,
        against=metric_names.TEST_ACCURACY,
        closed=_CLOSED_SECTIONS,
    )
    return saved_view(view, created_ms)


def varying_params(sweep: Sweep) -> tuple[str, ...]:
    """Names of the params that differ between this sweep's trials, filters and pooling first."""
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
    """Colour ('#rrggbb') of each variant by label; the seeds of a variant share it."""
    labels = dict.fromkeys(trial.label for trial in sweep.trials())
    return {label: _COLORS[number % len(_COLORS)] for number, label in enumerate(labels)}
