"""Describe a data set: counts, shape, digest and duplicate images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.data.dataset import Dataset


@dataclass(frozen=True)
class SplitDescription:
    """Number of images in a split, in total and per class."""

    role: str
    images: int
    per_class: tuple[int, ...]


@dataclass(frozen=True)
class Description:
    """A data set in numbers.

    `shared_with_test` counts test images that are identical to a training or validation image.
    `repeated_in_train` counts training and validation images that are identical to an earlier one.
    """

    name: str
    source: str
    digest: str
    image_shape: tuple[int, int, int]
    dtype: str
    class_names: tuple[str, ...]
    splits: tuple[SplitDescription, ...]
    shared_with_test: int
    repeated_in_train: int


def describe(dataset: Dataset) -> Description:
    """Count images and duplicates. Images are identical if their 128-bit BLAKE2b hashes are."""
    seen = _hashes(dataset.train.images) + _hashes(dataset.validation.images)
    distinct = set(seen)
    return Description(
        name=dataset.name,
        source=dataset.source,
        digest=dataset.digest,
        image_shape=dataset.image_shape,
        dtype=str(dataset.train.images.dtype),
        class_names=dataset.class_names,
        splits=tuple(
            SplitDescription(
                role=split.role, images=len(split), per_class=class_counts(dataset, split.role)
            )
            for split in (dataset.train, dataset.validation, dataset.test)
        ),
        shared_with_test=sum(row in distinct for row in _hashes(dataset.test.images)),
        repeated_in_train=len(seen) - len(distinct),
    )


def class_counts(dataset: Dataset, role: str) -> tuple[int, ...]:
    """Number of images of each class in the split with this role."""
    labels = getattr(dataset, role).labels
    return tuple(np.bincount(labels, minlength=dataset.num_classes).tolist())


def render(description: Description) -> str:
    """The description as plain text with a table of counts."""
    height, width, channels = description.image_shape
    colour = "grey" if channels == 1 else "RGB"
    width_of_names = max(len("class"), len("all"), *map(len, description.class_names))
    columns = [max(12, len(split.role)) for split in description.splits]
    rows = [
        ("class", [split.role for split in description.splits]),
        *(
            (name, [f"{split.per_class[label]:,}" for split in description.splits])
            for label, name in enumerate(description.class_names)
        ),
        ("all", [f"{split.images:,}" for split in description.splits]),
    ]
    table = [
        f"{name:<{width_of_names}}"
        + "".join(f"{cell:>{column}}" for cell, column in zip(cells, columns, strict=True))
        for name, cells in rows
    ]
    return "\n".join(
        [
            f"data set    {description.name}",
            f"source      {description.source}",
            f"digest      sha256:{description.digest}",
            f"images      {height}x{width}x{channels} ({colour}), {description.dtype}",
            (
                f"duplicates  {description.shared_with_test:,} test images are also among the "
                "training or validation images"
            ),
            (
                f"            {description.repeated_in_train:,} training or validation images "
                "repeat an earlier one"
            ),
            "",
            *table,
        ]
    )


def _hashes(images: NDArray[np.uint8]) -> list[bytes]:
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    return [hashlib.blake2b(row.data, digest_size=16).digest() for row in rows]
