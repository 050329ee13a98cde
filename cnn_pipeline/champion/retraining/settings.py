"""What a retraining tries, and what it asks before it promotes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.champion.gate import GateSettings
from cnn_pipeline.champion.retraining.drift import DriftSettings
from cnn_pipeline.settings.faults import dotted, find_faults
from cnn_pipeline.settings.files import read_toml
from cnn_pipeline.settings.named import retrain
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Settings

_AsTuple = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)

BlockName = Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$", max_length=200)]


class RetrainSettings(Settings):
    """One retraining: data, candidates, gate, and who is told."""

    sweep: Sweep = retrain()
    """The candidates: variants, seeds, training settings and data."""
    champion_variant: bool = True
    """Train the champion's own variant too, with the seeds of the sweep."""
    gate: GateSettings = GateSettings()
    """What a challenger must show to be promoted."""
    drift: DriftSettings = DriftSettings()
    """How far new data may lie from the champion's."""
    notify: Annotated[tuple[BlockName, ...], Field(max_length=20), _AsTuple] = ()
    """Prefect notification blocks as 'type/name', told of failures and promotions."""
    stale_after_minutes: Annotated[int, Field(ge=1, le=100_000)] = 360
    """A scheduled run that starts later than this after its slot is skipped."""

    @property
    def data(self) -> DataSettings:
        """The images, and how they are split."""
        return self.sweep.data


def load_settings(path: Path) -> RetrainSettings:
    """Read `RetrainSettings` from a TOML file whose keys are its fields.

    Raises:
        InvalidInput: the file cannot be read, is no TOML, or has faults: each with its TOML path.
    """
    document = read_toml(path)
    settings, faults = find_faults(RetrainSettings, document)
    if settings is None or faults:
        raise InvalidInput([f"{path}: {fault.text(dotted)}" for fault in faults])
    return settings
