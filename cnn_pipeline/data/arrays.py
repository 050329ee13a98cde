"""Images and labels before the split, and checks of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.data.preparation import Preparation
from cnn_pipeline.data.rows import Images, Rows, blocks, take

Labels = NDArray[np.int64]

MAX_BYTES = 4 * 2**30
"""Limit for the pixels of one array of the user's own data that is held in memory."""

MAX_CLASSES = 1000


@dataclass(frozen=True, eq=False)
class Part:
    """Training, validation or test data as read.

    Images are uint8 `[n, h, w, c]`, 0 to 255; labels are int64 `[n]`. `images_file` and
    `labels_file` name the files for errors.
    """

    images: Images
    labels: Labels
    images_file: str
    labels_file: str
    names: tuple[str, ...] = ()
    """What the data call each image; empty where images have no names."""
    groups: NDArray[np.int64] | None = None
    """The group of each image, `[n]`; no group may be split. None: each image is its own."""

    def take(self, positions: NDArray[np.int64]) -> Part:
        """The images and labels at `positions`."""
        return replace(
            self,
            images=take(self.images, positions),
            labels=self.labels[positions],
            names=tuple(self.names[at] for at in positions) if self.names else (),
            groups=None if self.groups is None else self.groups[positions],
        )


@dataclass(frozen=True, eq=False)
class Parts:
    """What the reader of a format has found.

    Without `test`, test images are drawn from `train`; without `validation`, validation images.
    `notes` say in sentences what was converted or left out. `preparation` is what was done to
    pictures in files; None for arrays.
    """

    train: Part
    test: Part | None = None
    validation: Part | None = None
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    preparation: Preparation | None = None

    @property
    def others(self) -> tuple[Part, ...]:
        """The parts beside `train`."""
        return tuple(part for part in (self.validation, self.test) if part is not None)


def image_faults(file: str, images: NDArray[np.generic]) -> list[str]:
    """Why `images` are not uint8 `[n, h, w, 1 or 3]`; empty if they are."""
    if images.dtype != np.uint8:
        return [(f"{file}: pixels must be uint8, 0 to 255, received {images.dtype}")]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        return [
            (
                f"{file}: images must have shape [n, height, width], or [n, height, width, 1 or 3] "
                f"with n, height and width of at least 1, received {list(images.shape)}"
            )
        ]
    return []


def label_faults(file: str, labels: NDArray[np.generic]) -> list[str]:
    """Why `labels` are not whole numbers of shape `[n]`; empty if they are."""
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        return [
            (
                f"{file}: labels must be whole numbers of shape [n], "
                f"received {labels.dtype} of shape {list(labels.shape)}"
            )
        ]
    return []


def pair_faults(
    train: Part, others: Sequence[Part], class_names: tuple[str, ...] | None
) -> list[str]:
    """Why valid parts are not a data set; empty if they are.

    Training labels must be 0 to k-1 without gaps. k must be at least 2 and equal the number of
    class names, if given. Other labels must be among the training labels, and all images must have
    the same shape.
    """
    faults = []
    for part in (train, *others):
        if len(part.images) != len(part.labels):
            faults.append(
                f"{part.labels_file}: must have one label per image, received "
                f"{len(part.labels):,} labels for the {len(part.images):,} images of "
                f"{part.images_file}"
            )
    faults += [
        f"{part.images_file}: images must have the shape of the training images, "
        f"{_text(train.images)}, received {_text(part.images)}"
        for part in others
        if part.images.shape[1:] != train.images.shape[1:]
    ]
    known = np.unique(train.labels)
    if len(known) == 0 or known[0] < 0 or known[-1] >= MAX_CLASSES:
        received = f"{known[0]} to {known[-1]}" if len(known) else "none"
        if len(known) and known[0] == -1:
            received += "; where -1 means that there is none, leave these images out"
        return [
            *faults,
            (
                f"{train.labels_file}: labels must be 0 to k-1 for k classes, "
                f"at most {MAX_CLASSES}, received {received}"
            ),
        ]
    classes = int(known[-1]) + 1 if class_names is None else len(class_names)
    if classes < 2:
        faults.append(f"{train.labels_file}: there must be at least 2 classes, received {classes}")
    gaps = sorted(set(range(classes)) - set(known.tolist()))
    if gaps:
        faults.append(
            f"{train.labels_file}: every class 0 to {classes - 1} must have a training image, "
            f"there is none for {_list(gaps)}"
        )
    for part in (train, *others):
        outside = sorted(set(np.unique(part.labels).tolist()) - set(range(classes)))
        if outside:
            faults.append(
                f"{part.labels_file}: labels must be 0 to {classes - 1}, received {_list(outside)}"
            )
    return faults


def content_digest(
    train: Part, test: Part, class_names: tuple[str, ...], validation: Part | None = None
) -> str:
    """SHA-256 (hex) of the content: class names, shapes, every pixel and every label.

    Identical data have the same digest in every file format. Validation images that are drawn from
    `train` are part of it. Groups that no split divides count where there are any.
    """
    parts = {"train": train, "test": test}
    if validation is not None:
        parts["validation"] = validation
    arrays: dict[str, NDArray[np.generic] | Rows] = {
        f"{role}_{name}": array
        for role, part in parts.items()
        for name, array in (("images", part.images), ("labels", part.labels.astype("<i8")))
    }
    if train.groups is not None:
        arrays["train_groups"] = train.groups.astype("<i8")
    content = {
        "class_names": class_names,
        "arrays": {
            name: {
                "dtype": array.dtype.str,
                "shape": array.shape,
                "sha256": _sha256(array),
            }
            for name, array in arrays.items()
        },
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _sha256(array: NDArray[np.generic] | Rows) -> str:
    digest = hashlib.sha256()
    for block in blocks(array):
        digest.update(block.data)
    return digest.hexdigest()


def _text(images: Images) -> str:
    return "x".join(map(str, images.shape[1:]))


def _list(values: list[int], most: int = 10) -> str:
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(map(str, values[:most])) + more
