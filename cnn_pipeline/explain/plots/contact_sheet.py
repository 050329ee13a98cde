"""The contact sheet of a data set: some pictures of each class as the network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnn_pipeline.data.dataset import Dataset
from cnn_pipeline.data.describe import Description
from cnn_pipeline.data.near_duplicates import NearDuplicate
from cnn_pipeline.explain.drawing.fonts import legible
from cnn_pipeline.explain.drawing.page import (
    BODY,
    MARGIN,
    MUTED,
    RULE,
    SMALL,
    VERMILION,
    new_page,
    place,
    write,
)
from cnn_pipeline.explain.drawing.tiles import RGB, as_rgb, tile

EACH = 12
"""Pictures of a class, and pairs of near duplicates."""
MOST_CLASSES = 40
"""Classes with a row; with 12 pictures each, more make a page that nobody looks through."""
_TILE, _LARGE_TILE = 56, 88  # pixels of a picture; the second of images above `_LARGE`
_LARGE = 64
_GAP = 6
_NAMES = 168  # pixels left of the pictures, for the names
_TOP = 84
_ROW = 14  # pixels between two classes
_HEAD = 40  # pixels above the near duplicates
_CAPTION = 24  # pixels from a picture to the one below, with its name between them
_LETTERS = 9  # of a file's name that fit below a picture


def draw_contact_sheet(dataset: Dataset, description: Description) -> Figure:
    """A row per class: its name, its numbers of images, and training images of it.

    They are taken at even distances in the order of the files, since neighbours are often alike.
    Below them the test images that are nearly the same as an image of another split.

    `description` is that of `dataset`.
    """
    height, width, channels = dataset.image_shape
    side = _LARGE_TILE if max(height, width) > _LARGE else _TILE
    names = legible(dataset.class_names)
    shown = min(len(names), MOST_CLASSES)
    near = description.near_duplicates[:EACH]
    row = side + _ROW
    bottom = _TOP + shown * row
    pairs = _HEAD + 2 * (side + _CAPTION) + 16 if near else 0
    images = sum(split.images for split in description.splits)
    figure, page = new_page(
        2 * MARGIN + _NAMES + EACH * (side + _GAP) - _GAP,
        bottom + pairs + 10,
        f"{dataset.name}: what the network sees",
        f"{images:,} images of {len(names):,} classes, {height}x{width} pixels, "
        f"{'grey' if channels == 1 else 'RGB'}; training images at even distances"
        + (f"; the first {shown} classes" if shown < len(names) else ""),
    )
    for label in range(shown):
        y = _TOP + label * row
        if label:
            page.hlines([y - _ROW / 2], MARGIN, page.get_xlim()[1] - MARGIN, RULE, linewidth=1)
        _class_row(page, y, side, names[label], _counts(description, label))
        chosen = _spread(np.flatnonzero(dataset.train.labels == label))
        if len(chosen):
            pixels = tile(list(as_rgb(dataset.train.images[chosen])), side, len(chosen), _GAP)
            place(page, MARGIN + _NAMES, y, pixels)
    if near:
        _pairs(page, bottom + _HEAD, side, dataset, near, len(description.near_duplicates))
    return figure


def _counts(description: Description, label: int) -> list[tuple[str, bool]]:
    """'5,500 train', '500 validation', '1,000 test', and whether there is none."""
    return [
        (f"{split.per_class[label]:,} {split.role}", not split.per_class[label])
        for split in description.splits
    ]


def _class_row(
    page: Axes, y: float, side: int, name: str, counts: Sequence[tuple[str, bool]]
) -> None:
    top = y + side / 2 - 21
    write(page, MARGIN, top, name, _NAMES - 16, weight="bold", size=BODY)
    for line, (text, missing) in enumerate(counts):
        color = VERMILION if missing else MUTED
        write(page, MARGIN, top + 16 + 13 * line, text, _NAMES - 16, size=SMALL, color=color)


def _pairs(
    page: Axes,
    y: float,
    side: int,
    dataset: Dataset,
    near: Sequence[NearDuplicate],
    total: int,
) -> None:
    """The test image of each pair above the other one."""
    some = f"the {len(near)} most alike of {total:,}" if total > len(near) else f"{total:,}"
    text = f"Nearly the same in two splits ({some}): a network may know these test images by heart"
    page.hlines([y - _HEAD / 2 - 14], MARGIN, page.get_xlim()[1] - MARGIN, RULE, linewidth=1)
    write(page, MARGIN, y - 18, text, color=VERMILION)
    left = MARGIN + _NAMES
    write(page, MARGIN, y + side / 2, "test image", size=SMALL, color=MUTED)
    below = y + side + _CAPTION
    for line, text in enumerate(("training or", "validation image")):
        write(page, MARGIN, below + side / 2 - 7 + 14 * line, text, size=SMALL, color=MUTED)
    place(page, left, y, _tiles([dataset.test.images[pair.test] for pair in near], side))
    others = [getattr(dataset, pair.role).images[pair.position] for pair in near]
    place(page, left, below, _tiles(others, side))
    for column, pair in enumerate(near):
        x = left + column * (side + _GAP)
        for top, name, position in (
            (y, pair.name, pair.test),
            (below, pair.other_name, pair.position),
        ):
            called = _end(name) if name else f"no. {position}"
            write(page, x, top + side + 10, called, side + _GAP, size=SMALL, color=MUTED)
        if pair.label != pair.other_label:
            write(page, x, below + side + 24, "2 classes", side + _GAP, size=SMALL, color=VERMILION)


def _end(name: str) -> str:
    """The end of a file's name without its suffix, which tells it from others: '…_000123'."""
    stem = PurePath(name).stem
    return stem if len(stem) <= _LETTERS else "…" + stem[1 - _LETTERS :]


def _tiles(images: Sequence[np.ndarray], side: int) -> RGB:
    return tile(list(as_rgb(np.stack(images))), side, len(images), _GAP)


def _spread(positions: np.ndarray) -> np.ndarray:
    """Up to `EACH` of the positions, at even distances, the first and the last included."""
    chosen = np.linspace(0, len(positions) - 1, min(EACH, len(positions)))
    return np.asarray(positions[np.round(chosen).astype(np.int64)])
