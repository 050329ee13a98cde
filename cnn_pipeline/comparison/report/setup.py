"""What was run, on what, and how to run it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnn_pipeline.comparison.report.data import ReportData, TrialData

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
    """The settings of a sweep: what all variants share, and what each has of its own."""

    shared: Settings
    varied: tuple[str, ...]
    """Names of the settings that differ."""
    own: tuple[tuple[str, Settings], ...]
    """Label and its values of the varied settings."""
    networks: tuple[Network, ...]
    machine: Settings
    versions: Settings


LAYER_HEADER = ("layer", "kind", "output", "parameters", "MACs", "receptive field")


def set_up(data: ReportData) -> SetUp | None:
    """From the runs' own records; None where no run has any."""
    recorded = [trial for trial in _first_of_each(data.trials) if trial.config]
    if not recorded:
        return None
    settings = {trial.label: _settings(trial.config) for trial in recorded}
    names = list(dict.fromkeys(name for own in settings.values() for name in own))
    varied = tuple(name for name in names if len({own.get(name) for own in settings.values()}) > 1)
    first = next(iter(settings.values()))
    seeds = sorted({trial.seed for trial in data.trials})
    config = recorded[0].config
    return SetUp(
        shared={
            "seeds": ", ".join(map(str, seeds)),
            **{name: first[name] for name in names if name not in varied},
        },
        varied=varied,
        own=tuple(
            (label, {name: own.get(name, "") for name in varied}) for label, own in settings.items()
        ),
        networks=tuple(_network(trial) for trial in recorded if trial.plan),
        machine={str(k): str(v) for k, v in config.get("device", {}).items()},
        versions={str(k): str(v) for k, v in config.get("versions", {}).items()},
    )


def _first_of_each(trials: tuple[TrialData, ...]) -> list[TrialData]:
    """One trial a variant: seeds share their settings."""
    first: dict[str, TrialData] = {}
    for trial in trials:
        if trial.label not in first or not first[trial.label].config:
            first[trial.label] = trial
    return list(first.values())


def _settings(config: Mapping[str, Any]) -> Settings:
    trial = config.get("trial", {})
    parts = (trial.get("variant", {}), trial.get("training", {}), config.get("data", {}))
    return {name.replace("_", " "): _text(value) for part in parts for name, value in part.items()}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "not set"
    if isinstance(value, list):
        return "-".join(map(str, value))
    return str(value)


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
