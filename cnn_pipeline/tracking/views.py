"""The saved view of a sweep in MLflow: which columns, order and charts, and the runs' colours."""

from __future__ import annotations

import json
from typing import Any

from cnn_pipeline.base import metric_names
from cnn_pipeline.settings.sweep import AUTO, Sweep
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
_SWEEP_METRICS = (
    metric_names.CHOSEN_VAL_ACCURACY,
    metric_names.CHOSEN_TEST_ACCURACY,
    metric_names.NUM_VARIANTS,
    metric_names.NUM_TRIALS,
    metric_names.NUM_FAILED,
    metric_names.SWEEP_MINUTES,
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
        columns=metric_names.COMPARED,
        metrics=_METRICS,
        order=f"metrics.`{_METRICS[0]}`",
        curves=_CURVES,
        against=metric_names.TEST_ACCURACY,
        closed=_CLOSED_SECTIONS,
    )
    return saved_view(view, created_ms)


def sweeps_view_tag(created_ms: int) -> tuple[str, str]:
    """Key and value of the experiment's tag that holds the list of all sweeps, newest first."""
    view = View(
        key=names.SWEEPS_VIEW,
        name="All sweeps",
        condition=f"tags.{names.KIND} = '{names.SWEEP_KIND}'",
        params=(names.AXES, names.DATA, names.EPOCHS),
        widths={names.AXES: 220, names.DATA: 130, names.EPOCHS: 60},
        metrics=_SWEEP_METRICS,
        order="attributes.start_time",
        curves=(),
        against=metric_names.CHOSEN_TEST_ACCURACY,
        closed=_CLOSED_SECTIONS,
    )
    return saved_view(view, created_ms)


def varying_params(sweep: Sweep) -> tuple[str, ...]:
    """Names of the params that differ between this sweep's trials, filters and pooling first."""
    return (*_ALWAYS, *(name for name in varying_values(sweep) if name not in _ALWAYS))


def varying_values(sweep: Sweep) -> dict[str, tuple[Any, ...]]:
    """The settings that differ between this sweep's trials, each with its values in order."""
    values: dict[str, dict[str, Any]] = {}
    for trial in sweep.trials():
        settings = {
            **trial.variant.model_dump(mode="json", exclude=trial.variant.unused),
            **trial.training.model_dump(mode="json"),
            names.SEED: trial.seed,
        }
        for name, value in settings.items():
            values.setdefault(name, {})[json.dumps(value)] = value
    varying = {name: tuple(seen.values()) for name, seen in values.items() if len(seen) > 1}
    if sweep.seeds == AUTO and names.SEED in varying:
        varying[names.SEED] = (AUTO,)
    return varying


def run_colors(sweep: Sweep) -> dict[str, str]:
    """Colour ('#rrggbb') of each variant by label; the seeds of a variant share it."""
    return {label: _COLORS[number % len(_COLORS)] for number, label in enumerate(sweep.labels)}
