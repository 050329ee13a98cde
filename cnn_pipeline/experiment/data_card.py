"""The description of a data set that a sweep works with, without the images."""

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
    """Sizes that decide whether a sweep fits its data."""

    image_shape: tuple[int, int, int]
    """Height, width, channels."""
    num_classes: int
    num_train: int
    """Training images, after validation images and `train_limit` are taken off."""
    num_test: int
    """Test images; only the expected time depends on them."""


@dataclass(frozen=True)
class DataCard:
    """Describes the data of a sweep, without the images."""

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
    """The splits, as MLflow lists them as inputs of each run."""

    @property
    def shape(self) -> DataShape:
        """The sizes that `check_fit` asks for."""
        return DataShape(self.image_shape, len(self.class_names), self.num_train, self.num_test)


def prepare_data(settings: DataSettings, cache: Path) -> DataCard:
    """Fetch what is missing, verify it, and describe the data.

    Raises:
        InvalidInput: bad files in the user's own data, or sizes that do not fit the data.
        DataError: the files are not available.
    """
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
