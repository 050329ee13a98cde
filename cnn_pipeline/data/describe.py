"""Describe a data set: counts, shape, digest, duplicate images and warnings."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from cnn_pipeline.base.file_cache import keep_file, kept_content
from cnn_pipeline.data import near_duplicates
from cnn_pipeline.data.class_warnings import class_warnings
from cnn_pipeline.data.dataset import Dataset, Split
from cnn_pipeline.data.groups import pixel_hashes
from cnn_pipeline.data.near_duplicates import NearDuplicate

_FILE = "near-duplicates"
_NEAR = TypeAdapter(tuple[NearDuplicate, ...])
_SHOWN = 3  # near duplicates that are listed as text


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
    near_duplicates: tuple[NearDuplicate, ...] = ()
    """Test images that are nearly the same as a training or validation image, most alike first;
    those with an identical one are not among them."""
    preparation: str = ""
    """How a picture of another size or kind is prepared: 'pad on #ffffff, light on dark'."""
    notes: tuple[str, ...] = ()
    """What was converted, left out or drawn, with how many images, one sentence each."""
    warnings: tuple[str, ...] = ()
    """What the numbers of images per class make doubtful, one sentence each."""


def describe(dataset: Dataset, cache: Path | None = None) -> Description:
    """Count images and duplicates. Images are identical if their 128-bit BLAKE2b hashes are.

    `cache` is a folder that keeps the near duplicates for the next call: finding them takes
    seconds.
    """
    seen = pixel_hashes(dataset.train.images) + pixel_hashes(dataset.validation.images)
    tested = pixel_hashes(dataset.test.images)
    distinct = set(seen)
    counts = [class_counts(dataset, split) for split in ("train", "validation", "test")]
    return Description(
        name=dataset.name,
        source=dataset.source,
        digest=dataset.digest,
        image_shape=dataset.image_shape,
        dtype=str(dataset.train.images.dtype),
        class_names=dataset.class_names,
        splits=tuple(
            SplitDescription(role=split.role, images=len(split), per_class=per_class)
            for split, per_class in zip(
                (dataset.train, dataset.validation, dataset.test), counts, strict=True
            )
        ),
        shared_with_test=sum(row in distinct for row in tested),
        repeated_in_train=len(seen) - len(distinct),
        near_duplicates=tuple(
            replace(
                entry,
                name=_file(dataset, dataset.test, entry.test),
                other_name=_file(dataset, getattr(dataset, entry.role), entry.position),
            )
            for entry in _near_duplicates(dataset, [*seen, *tested], cache)
        ),
        preparation=dataset.preparation.shown,
        notes=dataset.notes,
        warnings=class_warnings(dataset.class_names, *counts),
    )


def _file(dataset: Dataset, split: Split, position: int) -> str:
    """The file of an image, without its class; empty where there are no files."""
    if not split.names:
        return ""
    label = dataset.class_names[split.labels[position]]
    return split.names[position].removeprefix(f"{label}/")


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
            f"pictures    {description.preparation}",
            *map(_indented, description.notes),
            (
                f"duplicates  {description.shared_with_test:,} test images are also among the "
                "training or validation images"
            ),
            (
                f"            {description.repeated_in_train:,} training or validation images "
                "repeat an earlier one"
            ),
            *_near_lines(description),
            "",
            *table,
            *warning_lines(description.warnings),
        ]
    )


def _indented(text: str) -> str:
    """Text at most 80 columns wide, indented; paths stay whole."""
    indent = " " * 12
    return textwrap.fill(
        text, 80, initial_indent=indent, subsequent_indent=f"{indent}  ", break_long_words=False
    )


def warning_lines(warnings: Sequence[str]) -> list[str]:
    """Warnings as lines of at most 80 columns, after an empty one; none if there are none."""
    lines = [textwrap.fill(f"warning: {text}", 80, subsequent_indent="  ") for text in warnings]
    return ["", *lines] if lines else []


def _near_lines(description: Description) -> list[str]:
    near = description.near_duplicates
    lines = [f"            {len(near):,} further test images are nearly the same as one of those"]
    for entry in near[:_SHOWN]:
        first, second = (description.class_names[i] for i in (entry.label, entry.other_label))
        lines.append(
            _indented(
                f"test image {entry.name or entry.test} ({first}) and {entry.role} image "
                f"{entry.other_name or entry.position} ({second})"
            )
        )
    if len(near) > _SHOWN:
        lines.append(f"            and {len(near) - _SHOWN:,} more")
    return lines


def _near_duplicates(
    dataset: Dataset, hashes: list[bytes], cache: Path | None
) -> tuple[NearDuplicate, ...]:
    """Those of these images in this order, kept from an earlier call if there was one."""
    if cache is None:
        return near_duplicates.near_duplicates(dataset)
    rule = repr((near_duplicates.LIMIT, [len(dataset.train), len(dataset.validation)]))
    splits = (dataset.train, dataset.validation, dataset.test)
    labels = b"".join(split.labels.tobytes() for split in splits)
    of = hashlib.sha256(b"".join(hashes) + labels + rule.encode()).hexdigest()
    content = kept_content(cache, _FILE, of)
    if content is not None:
        return _NEAR.validate_json(content)
    found = near_duplicates.near_duplicates(dataset)
    keep_file(cache, _FILE, of, lambda path: path.write_bytes(_NEAR.dump_json(found)))
    return found
