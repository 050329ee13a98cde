"""Find test images that are nearly the same as a training or validation image.

Two images are nearly the same if the root mean square of their pixels' differences is less than a
tenth of the test image's contrast (the standard deviation of its pixels): one picture saved twice
as JPEG, scaled twice, or photographed twice in a burst. Their brightness counts, so one shirt in
two colours is two images.

A perceptual hash would be the usual way to find candidates. It was made for photographs: of the
first 1,000 test images of Fashion-MNIST, 96 share their 64-bit dHash with a training image, and
445 are within 3 bits of one. Here the means of 5x5 blocks are the coordinates of a k-d tree
instead. Such means never differ by more than the images do, so the tree misses nothing, and it
leaves four candidates per test image of Fashion-MNIST; 12 of its test images are nearly the same
as another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cnn_pipeline.data.dataset import Dataset, Split
from cnn_pipeline.data.rows import Images

LIMIT = 0.1
"""Root mean square of the differences, as a share of the test image's contrast."""
_BLOCKS = 5  # per side: with 4 Fashion-MNIST has ten times as many candidates
_SIDE = 32  # larger images are compared at this size: noise and JPEG's blocks do not count
_CHUNK = 64  # images at a time: bounds the memory
_MOST = 256  # candidates per image that are looked at, nearest first: frames of a film have more


@dataclass(frozen=True)
class NearDuplicate:
    """A test image and the image to train or choose with that is most like it."""

    test: int
    """Position in the test split."""
    label: int
    """Class of the test image."""
    role: str
    """Split of the other image: 'train' or 'validation'."""
    position: int
    """Its position in that split."""
    other_label: int
    """Its class; if it is not `label`, one of the two is wrong."""
    difference: float
    """Root mean square of the differences by the test image's contrast, above 0, at most 0.1."""
    name: str = ""
    """File of the test image, in its class; empty for data without files."""
    other_name: str = ""
    """File of the other image."""


def near_duplicates(dataset: Dataset) -> tuple[NearDuplicate, ...]:
    """One entry per test image that has a near duplicate and no exact one, most alike first."""
    others = (dataset.train, dataset.validation)
    tree = cKDTree(np.concatenate([_coarse(split.images) for split in others]))
    found = []
    for first in range(0, len(dataset.test), _CHUNK):
        images = _small(dataset.test.images[first : first + _CHUNK])
        points = _block_means(images)
        reach = LIMIT * images.reshape(len(images), -1).std(axis=1)
        # A little more than the limit, because the tree's points are rounded differently.
        near = tree.query_ball_point(points, 1.001 * reach)
        for i in np.flatnonzero([len(found) > 0 for found in near]):
            candidates = np.array(near[i])
            distances = np.linalg.norm(tree.data[candidates] - points[i], axis=1)
            candidates = np.sort(candidates[np.argsort(distances, kind="stable")[:_MOST]])
            differences = np.concatenate(list(_differences(images[i], others, candidates)))
            best = int(np.argmin(differences))
            if 0 < differences[best] <= reach[i]:
                share = float(differences[best] * LIMIT / reach[i])
                found.append(_entry(dataset, first + int(i), others, int(candidates[best]), share))
    return tuple(sorted(found, key=lambda entry: (entry.difference, entry.test)))


def _entry(
    dataset: Dataset, test: int, others: tuple[Split, Split], index: int, share: float
) -> NearDuplicate:
    train, validation = others
    split, position = (train, index) if index < len(train) else (validation, index - len(train))
    return NearDuplicate(
        test=test,
        label=int(dataset.test.labels[test]),
        role=split.role,
        position=position,
        other_label=int(split.labels[position]),
        difference=share,
    )


def _differences(
    image: NDArray[np.float32], others: tuple[Split, Split], indices: NDArray[np.int64]
) -> Iterator[NDArray[np.float32]]:
    """Root mean squares of the differences to images of both splits, counted through."""
    start = 0
    for split in others:
        own = indices[(indices >= start) & (indices < start + len(split))] - start
        start += len(split)
        if len(own):
            apart = _small(split.images[own]) - image
            yield np.sqrt(np.square(apart).reshape(len(own), -1).mean(axis=1))


def _coarse(images: Images) -> NDArray[np.float32]:
    """Coordinates of all images."""
    starts = range(0, len(images), _CHUNK)
    return np.concatenate([_block_means(_small(images[i : i + _CHUNK])) for i in starts])


def _small(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Float32 `[n, height, width, channels]` of at most `_SIDE` pixels per side."""
    return _means(images, _SIDE)[0]


def _block_means(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Float32 `[n, blocks]`, weighed so that no distance exceeds the root mean square of the
    differences of the images: by the root of the block's share of the image.
    """
    means, sizes = _means(images, _BLOCKS)
    weights = np.sqrt(sizes / sizes.sum())
    return np.asarray((means.mean(axis=3) * weights).reshape(len(images), -1))


def _means(
    images: NDArray[np.uint8] | NDArray[np.float32], most: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means of `[n, height, width, channels]` in a grid of blocks, at most `most` per side.

    Also the number of pixels of each block, `[height, width]`.
    """
    sums, counts = images.astype(np.float32), []
    for axis in (1, 2):
        side = images.shape[axis]
        blocks = min(side, most)
        starts = np.arange(blocks) * side // blocks
        counts.append(np.diff(np.append(starts, side)))
        if blocks < side:
            sums = np.add.reduceat(sums, starts, axis=axis)
    sizes = np.outer(*counts).astype(np.float32)
    return sums / sizes[..., np.newaxis], sizes
