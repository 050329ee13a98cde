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
    notes: tuple[str, ...] = ()
    """What was converted, left out or drawn, with how many images, one sentence each."""
    warnings: tuple[str, ...] = ()
    """What the numbers of images per class make doubtful."""
    test_drawn: str = ""
    """How the test images were drawn from the training images; empty if the data have their own."""
    path: str = ""
    """Where own data lie; empty for a named data set."""

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
    from cnn_pipeline.data.catalog import CATALOGS
    from cnn_pipeline.data.class_warnings import class_warnings
    from cnn_pipeline.data.dataset import load_dataset
    from cnn_pipeline.data.describe import class_counts
    from cnn_pipeline.data.formats.local import local_path
    from cnn_pipeline.tracking.inputs import describe_inputs

    events.emit(events.Stage(f"loading {settings.source}"))
    dataset = load_dataset(settings, cache)
    train, validation, test = (
        class_counts(dataset, role) for role in ("train", "validation", "test")
    )
    return DataCard(
        name=dataset.name,
        digest=dataset.digest,
        source=dataset.source,
        image_shape=dataset.image_shape,
        class_names=dataset.class_names,
        num_train=len(dataset.train.labels),
        num_validation=len(dataset.validation.labels),
        num_test=len(dataset.test.labels),
        fitted_counts=_add(train, validation),
        test_counts=test,
        inputs=describe_inputs(dataset),
        notes=dataset.notes,
        warnings=class_warnings(dataset.class_names, train, validation, test),
        test_drawn=dataset.test_drawn,
        path="" if settings.source in CATALOGS else str(local_path(settings.source)),
    )


def _add(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(first, second, strict=True))
