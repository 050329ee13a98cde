"""The user's own data as picture files: folders of classes, or a CSV that lists the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnn_pipeline.data.arrays import Part, Parts
from cnn_pipeline.data.formats.collection import (
    Collection,
    Picture,
    Role,
    grouped_by,
    straddling,
)
from cnn_pipeline.data.formats.image_files import read_pictures
from cnn_pipeline.data.formats.layout import read_layout
from cnn_pipeline.data.formats.table import read_table
from cnn_pipeline.data.rows import Images, take
from cnn_pipeline.settings.trial import DataSettings


def read_image_folder(
    folder: Path,
    class_names: tuple[str, ...] | None,
    settings: DataSettings,
    cache: Path | None = None,
) -> Parts | list[str]:
    """The images in folders of classes (`read_layout`), or all faults.

    Args:
        folder: holds the folders.
        class_names: the classes in their order; the folders' names, sorted, by default.
        settings: say how pictures are prepared and how groups of them are found.
        cache: folder that keeps what was prepared.
    """
    return _read(read_layout(folder, class_names), settings, cache)


def read_image_table(
    path: Path,
    class_names: tuple[str, ...] | None,
    settings: DataSettings,
    cache: Path | None = None,
) -> Parts | list[str]:
    """The images that a CSV lists (`read_table`), or all faults."""
    return _read(read_table(path, class_names), settings, cache)


def _read(collection: Collection, settings: DataSettings, cache: Path | None) -> Parts | list[str]:
    if settings.group_by is not None:
        collection = grouped_by(collection, settings.group_by)
    pictures = collection.pictures
    faults = [*collection.faults, *straddling(pictures)]
    if not pictures or len(collection.class_names) == 1:
        return [*faults, *collection.doubt]
    prepared = read_pictures([picture.path for picture in pictures], settings, cache)
    if isinstance(prepared, list):
        return [*faults, *prepared, *collection.doubt]
    if faults:
        return [*faults, *collection.doubt]
    images = prepared.images

    def part(role: Role) -> Part | None:
        chosen = np.flatnonzero([picture.role == role for picture in pictures])
        if not len(chosen):
            return None
        return _part(
            [pictures[at] for at in chosen],
            take(images, chosen),
            collection.class_names,
            collection.places[role],
        )

    train = part("train")
    assert train is not None  # without training images of each class there are faults
    groups = {picture.group for picture in pictures if picture.group}
    notes = (*collection.notes, *collection.doubt, *prepared.notes)
    if groups:
        notes = (*notes, f"kept {len(groups):,} groups of images together in the splits")
    return Parts(
        train,
        part("test"),
        part("validation"),
        collection.class_names,
        notes,
        prepared.preparation,
    )


def _part(pictures: list[Picture], images: Images, names: tuple[str, ...], place: str) -> Part:
    labels = {name: label for label, name in enumerate(names)}
    # A picture without a group is one of its own.
    keys = [picture.group or f"\0{at}" for at, picture in enumerate(pictures)]
    return Part(
        images=images,
        labels=np.array([labels[picture.label] for picture in pictures], dtype=np.int64),
        images_file=place,
        labels_file=place,
        names=tuple(f"{picture.label}/{picture.name}" for picture in pictures),
        groups=np.unique(keys, return_inverse=True)[1] if any(p.group for p in pictures) else None,
    )
