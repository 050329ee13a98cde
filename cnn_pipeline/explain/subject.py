"""The run that is explained, with its model and its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnn_pipeline.data.dataset import Dataset
from cnn_pipeline.settings.trial import Variant

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained network, and the images used to train, choose and score it."""

    name: str
    """The run's name, such as 'f64-max-s0'."""
    run_id: str
    variant: Variant
    model: keras.Sequential
    dataset: Dataset
    notes: tuple[str, ...] = ()
    """What limits the meaning of the numbers."""
