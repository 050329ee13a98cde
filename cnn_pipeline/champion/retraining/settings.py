"""What a retraining tries, and what it asks before it promotes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.champion.requirements import GateSettings
from cnn_pipeline.champion.retraining.drift import DriftSettings
from cnn_pipeline.settings.engine import split_engine
from cnn_pipeline.settings.faults import dotted, find_faults
from cnn_pipeline.settings.files import read_toml
from cnn_pipeline.settings.named import retrain
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Settings

_AsTuple = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)

BlockName = Annotated[str, Field(max_length=200)]
Occasion = Literal["promoted", "refused", "stopped", "failed", "missed"]
OCCASIONS: tuple[Occasion, ...] = get_args(Occasion)


class NotifySettings(Settings):
    """Who is told, and of what."""

    blocks: Annotated[tuple[BlockName, ...], Field(max_length=20), _AsTuple] = ()
    """Notification blocks in Prefect as 'type/name'; `cnn-pipeline notify` lists them."""
    on: Annotated[tuple[Occasion, ...], Field(max_length=len(OCCASIONS)), _AsTuple] = OCCASIONS
    """What they are told of; 'stopped': cancelled, or other data; 'missed': not run in time."""


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
    notify: NotifySettings = NotifySettings()
    """Who is told of how a retraining ended."""
    stale_after_minutes: Annotated[int, Field(ge=1, le=100_000)] = 360
    """A scheduled run that starts later than this after its slot is skipped."""

    @property
    def data(self) -> DataSettings:
        """The images, and how they are split."""
        return self.sweep.data


def load_settings(path: Path) -> RetrainSettings:
    """Read `RetrainSettings` from a TOML file whose keys are its fields.

    Keys of an `Engine` are checked; `load_engine` reads them.

    Raises:
        InvalidInput: the file cannot be read, is no TOML, or has faults: each with its TOML path.
    """
    _, document, wrong = split_engine(read_toml(path))
    settings, faults = find_faults(RetrainSettings, document)
    if settings is None or wrong or faults:
        raise InvalidInput([f"{path}: {fault.text(dotted)}" for fault in (*wrong, *faults)])
    return settings
