"""What a sweep must know of its data without holding it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_pipeline.base import events
from cnn_pipeline.settings.trial import DataSettings

if TYPE_CHECKING:
    from cnn_pipeline.tracking.inputs import Input


@dataclass(frozen=True)
class DataShape:
    """What decides whether a sweep fits."""

    image_shape: tuple[int, int, int]
    """Height, width, channels."""
    num_classes: int
    num_train: int
    """Images to train on, after validation images and `train_limit`."""
    num_test: int
    """Images to score; only the expected time asks for it."""


@dataclass(frozen=True)
class DataCard:
    """What a sweep must know of its data without holding it."""

    name: str
    digest: str
    source: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    num_train: int
    num_validation: int
    num_test: int
    fitted_counts: tuple[int, ...]
    """Training and validation images of each class."""
    test_counts: tuple[int, ...]
    """Test images of each class."""
    inputs: tuple[Input, ...]
    """The splits, as every run names what it rests on."""

    @property
    def shape(self) -> DataShape:
        """What a sweep is held against."""
        return DataShape(self.image_shape, len(self.class_names), self.num_train, self.num_test)


def prepare_data(settings: DataSettings, cache: Path) -> DataCard:
    """Fetch and verify what is not there yet, and describe it."""
    from cnn_pipeline.data.dataset import load_dataset
    from cnn_pipeline.data.describe import class_counts
    from cnn_pipeline.tracking.inputs import describe_inputs

    events.emit(events.Stage(f"loading {settings.source}"))
    dataset = load_dataset(settings, cache)
    return DataCard(
        name=dataset.name,
        digest=dataset.digest,
        source=dataset.source,
        image_shape=dataset.image_shape,
        class_names=dataset.class_names,
        num_train=len(dataset.train.labels),
        num_validation=len(dataset.validation.labels),
        num_test=len(dataset.test.labels),
        fitted_counts=_add(class_counts(dataset, "train"), class_counts(dataset, "validation")),
        test_counts=class_counts(dataset, "test"),
        inputs=describe_inputs(dataset),
    )


def _add(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(first, second, strict=True))
