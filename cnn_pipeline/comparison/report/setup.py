"""The settings, versions and machine of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnn_pipeline.comparison.report.data import ReportData, TrialData
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.trial import unused_settings

Settings = dict[str, str]


@dataclass(frozen=True)
class Network:
    """One variant's layers."""

    label: str
    architecture: str
    rows: tuple[tuple[str, ...], ...]
    """Name, kind, output shape, parameters, MACs, receptive field."""


@dataclass(frozen=True)
class SetUp:
    """The settings of a sweep: those that all variants share, and those that differ."""

    shared: Settings
    varied: tuple[str, ...]
    """Names of the settings that differ."""
    own: tuple[tuple[str, Settings], ...]
    """Label of each variant, and its values of the varied settings."""
    networks: tuple[Network, ...]
    machine: Settings
    versions: Settings


# What is not set, in the words of MLflow's params (`trainers.trial.trial_params`).
_UNSET = {"weight_decay": "default", "stop_at_accuracy": "never", "patience": "never"}
LAYER_HEADER = ("layer", "kind", "output", "parameters", "MACs", "receptive field")


def set_up(data: ReportData) -> SetUp | None:
    """Read from the runs' `config.json`; None if no run has one."""
    recorded = [trial for trial in _first_of_each(data.trials) if trial.config]
    if not recorded:
        return None
    settings = {trial.label: _settings(trial.config) for trial in recorded}
    # Only of variants that use a setting: without pooling there is no pool size.
    values: dict[str, list[str]] = {}
    for own in settings.values():
        for name, value in own.items():
            values.setdefault(name, []).append(value)
    varied = tuple(name for name, found in values.items() if len(set(found)) > 1)
    seeds = sorted({trial.seed for trial in data.trials})
    config = recorded[0].config
    return SetUp(
        shared={
            "seeds": ", ".join(map(str, seeds)),
            **{name: found[0] for name, found in values.items() if name not in varied},
        },
        varied=varied,
        own=tuple(
            (label, {name: own.get(name, "") for name in varied}) for label, own in settings.items()
        ),
        networks=tuple(_network(trial) for trial in recorded if trial.plan),
        machine={str(k): _listed(v) for k, v in config.get("device", {}).items()},
        versions={str(k): str(v) for k, v in config.get("versions", {}).items()},
    )


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _first_of_each(trials: tuple[TrialData, ...]) -> list[TrialData]:
    """One trial per variant, because its seeds share their settings."""
    first: dict[str, TrialData] = {}
    for trial in trials:
        if trial.label not in first or not first[trial.label].config:
            first[trial.label] = trial
    return list(first.values())


def _settings(config: Mapping[str, Any]) -> Settings:
    trial = config.get("trial", {})
    variant = trial.get("variant", {})
    used = {name: value for name, value in variant.items() if name not in unused_settings(variant)}
    fields = {**used, **trial.get("training", {}), **config.get("data", {})}
    return {
        name.replace("_", " "): _UNSET.get(name, spell(value)) if value is None else spell(value)
        for name, value in fields.items()
    }


def _network(trial: TrialData) -> Network:
    return Network(
        trial.label,
        str(trial.plan.get("architecture", "")),
        tuple(
            (
                str(layer["name"]),
                str(layer["kind"]),
                "x".join(map(str, layer["output_shape"])),
                f"{layer['params']:,}",
                f"{layer['macs']:,}",
                str(layer["receptive_field"] or "-"),
            )
            for layer in trial.plan.get("layers", ())
        ),
    )
