"""Draw images in whole groups, so that pictures of one thing are on one side of a split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.data.rows import Images, blocks

Indices = NDArray[np.int64]


def draw_groups(labels: Indices, groups: Indices, order: Indices, target: Indices) -> Indices:
    """Positions of the images in groups that are drawn, sorted.

    A group is drawn, in this order, if it brings the images per class nearer to the target, and if
    each class keeps an image that is not drawn. A class that has none then gets its smallest group,
    if it can. Where each image is its own group, every class gets its target exactly. The greedy
    way is that of scikit-learn's `StratifiedGroupKFold`.

    Args:
        labels: int64 `[n]`, 0 to k-1.
        groups: int64 `[n]`, 0 to g-1.
        order: int64 `[g]`, the groups in the order in which they are considered.
        target: int64 `[k]`, images of each class to draw.
    """
    if len(order) == len(labels):  # the same, faster
        images = np.argsort(groups)[order]
        kinds = labels[images]
        return np.sort(
            np.concatenate([images[kinds == c][: target[c]] for c in range(len(target))])
        )
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
    counts = np.bincount(labels, minlength=len(target))
    held = np.zeros_like(target)
    drawn = set()

    def inside(group: int) -> tuple[Indices, Indices]:
        return np.unique(labels[members[group]], return_counts=True)

    def take(group: int) -> None:
        classes, sizes = inside(group)
        held[classes] += sizes
        drawn.add(group)

    def fits(group: int) -> bool:
        classes, sizes = inside(group)
        return bool((held[classes] + sizes < counts[classes]).all())

    for group in order.tolist():
        classes, sizes = inside(group)
        before = np.abs(target[classes] - held[classes]).sum()
        after = np.abs(target[classes] - held[classes] - sizes).sum()
        if after < before and fits(group):
            take(group)
    for label in np.flatnonzero((held == 0) & (target > 0)).tolist():
        if held[label] == 0:
            holding = [g for g in order.tolist() if (labels[members[g]] == label).any()]
            small = min(filter(fits, holding), key=lambda g: len(members[g]), default=None)
            if small is not None:
                take(small)
    return np.sort(np.concatenate([members[group] for group in sorted(drawn)] or [order[:0]]))


def order_by_name(groups: Indices, names: Sequence[str], seed: int) -> Indices:
    """The groups by the smallest hash of the names of their images.

    Such an order changes little when images are added, so that those that were test images stay.
    It is the same on every machine.
    """
    hashes = np.array(
        [
            int.from_bytes(hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest())
            for name in names
        ],
        dtype=np.uint64,
    )
    smallest = np.full(int(groups.max()) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(smallest, groups, hashes)
    return np.argsort(smallest, kind="stable")


def pixel_hashes(images: Images) -> list[bytes]:
    """The 128-bit BLAKE2b hash of each image."""
    return [
        hashlib.blake2b(image.ravel().data, digest_size=16).digest()
        for block in blocks(images)
        for image in block
    ]


def identical(images: Images) -> Indices:
    """Groups of images with equal pixels, int64 `[n]`."""
    hashes = pixel_hashes(images)
    numbers = {digest: number for number, digest in enumerate(dict.fromkeys(hashes))}
    return np.array([numbers[digest] for digest in hashes], dtype=np.int64)
