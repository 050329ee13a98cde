"""Which run is explained, with its model and its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnn_pipeline.data.dataset import Dataset
from cnn_pipeline.settings.trial import Variant

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained network with the images that it was trained, chosen and scored on."""

    name: str
    """The run's name, as 'f64-max-s0'."""
    run_id: str
    variant: Variant
    model: keras.Sequential
    dataset: Dataset
    notes: tuple[str, ...] = ()
    """What one must know before believing the numbers."""
