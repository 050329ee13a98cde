"""Stratified subsets of exact size: the same seed gives the same subset on every machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.data.groups import draw_groups, order_by_name
from cnn_pipeline.settings.trial import DataSettings

Indices = NDArray[np.int64]
TEST_SEED = 0
"""Seed of the draw of test images. It is no setting, so that results can be compared."""


def allocate(counts: Indices, size: int, lower: Indices, upper: Indices) -> Indices:
    """Number of images per class in a subset of `size`, in proportion to `counts`.

    Uses largest remainders (Hamilton's method) within `lower` and `upper` per class. Ties go to
    the lower class. The result sums to `size` exactly.

    Raises:
        ValueError: `size` cannot be reached within the bounds.
    """
    if not lower.sum() <= size <= upper.sum() or (lower > upper).any():
        raise ValueError(
            f"size must be {lower.sum()} to {upper.sum()} within the bounds, received {size}"
        )
    quotas = counts * (size / counts.sum())
    taken = np.clip(np.floor(quotas).astype(np.int64), lower, upper)
    while (left := size - int(taken.sum())) != 0:
        if left > 0:
            taken[np.argmax(np.where(taken < upper, quotas - taken, -np.inf))] += 1
        else:
            taken[np.argmin(np.where(taken > lower, quotas - taken, np.inf))] -= 1
    return np.asarray(taken)


def stratified(
    labels: NDArray[np.int64], taken: Indices, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """Draw `taken[c]` random positions of each class c; returns drawn and other ones, sorted."""
    order = rng.permutation(len(labels))
    shuffled = labels[order]
    drawn = np.concatenate([order[shuffled == c][: taken[c]] for c in range(len(taken))])
    mask = np.zeros(len(labels), dtype=bool)
    mask[drawn] = True
    return np.flatnonzero(mask), np.flatnonzero(~mask)


def split_train(
    labels: NDArray[np.int64], settings: DataSettings, groups: Indices | None = None
) -> tuple[Indices, Indices]:
    """Positions of the training images and of the validation images, each in file order.

    Every class keeps a training image. The validation images depend only on `validation_size` and
    `split_seed`, so runs with different `train_limit` have the same ones.

    Args:
        labels: int64 `[n]` with every class from 0 to k-1.
        settings: sizes that `check_settings` accepts.
        groups: int64 `[n]`, images that must stay together: then sizes are only as near as whole
            groups allow, and there may be no validation image at all.
    """
    counts = np.bincount(labels)
    size = settings.num_validation(len(labels), len(counts))
    taken = allocate(counts, size, np.minimum(1, counts - 1), counts - 1)
    if groups is None:
        validation, train = stratified(labels, taken, _generator(settings.split_seed, 0))
    else:
        groups = np.unique(groups, return_inverse=True)[1]  # some may be in the test
        order = _generator(settings.split_seed, 3).permutation(int(groups.max()) + 1)
        validation = draw_groups(labels, groups, order, taken)
        train = np.setdiff1d(np.arange(len(labels)), validation)
    return train[limit_train(labels[train], settings)], validation


def limit_train(labels: NDArray[np.int64], settings: DataSettings) -> Indices:
    """Positions of a stratified subset of `train_limit` images, or of all of them."""
    if settings.train_limit is None or settings.train_limit >= len(labels):
        return np.arange(len(labels))
    counts = np.bincount(labels)
    few = allocate(counts, settings.train_limit, np.ones_like(counts), counts)
    return stratified(labels, few, _generator(settings.split_seed, 1))[0]


def split_test(
    labels: NDArray[np.int64],
    share: float,
    groups: Indices | None = None,
    names: Sequence[str] = (),
    seed: int = TEST_SEED,
) -> tuple[Indices, Indices]:
    """Positions of the training images and of the test images, each in file order.

    For data that come without test images. Every class keeps an image for training, and gets one
    for the test if it has two. They do not depend on `split_seed`, which changes the validation
    images: results of other validation images can be compared. Nearly all of them stay test images
    when images are added.

    Args:
        labels: int64 `[n]` with every class from 0 to k-1.
        share: share of the images that become test images, between 0 and 1.
        groups: int64 `[n]`, images that must stay together: then the share is only as near as whole
            groups allow, and a class, or the test, may have no image.
        names: of the images, which decide; their positions by default.
        seed: of the draw.
    """
    counts = np.bincount(labels)
    lower, upper = np.minimum(1, counts - 1), counts - 1
    size = int(np.clip(round(share * len(labels)), lower.sum(), upper.sum()))
    if groups is None:
        groups = np.arange(len(labels))
    order = order_by_name(groups, names or [str(at) for at in range(len(labels))], seed)
    test = draw_groups(labels, groups, order, allocate(counts, size, lower, upper))
    return np.setdiff1d(np.arange(len(labels)), test), test


def check_settings(
    settings: DataSettings, n_train: int, n_classes: int, n_validation: int = 0
) -> list[str]:
    """Why the split does not fit `n_train` training images of `n_classes`; empty if it does.

    `n_validation` counts the validation images that the data have themselves: none is drawn then.
    """
    if n_validation:
        return _own_validation_faults(settings, n_train, n_classes, n_validation)
    faults = []
    most = n_train - n_classes
    size = settings.num_validation(n_train, n_classes)
    if not n_classes <= size <= most:
        remedy = (
            f"use validation_size={max(n_classes, min(most, n_train // 10))}"
            if n_classes <= most
            else "use more images"
        )
        faults.append(
            f"validation_size must be {n_classes} to {most:,}, so that each of {n_classes} classes "
            f"keeps a training image of {n_train:,}, received {size:,}; "
            f"{remedy}"
        )
    left = n_train - size
    if settings.train_limit is not None and not n_classes <= settings.train_limit <= left:
        faults.append(
            f"train_limit must be at least {n_classes} (one image per class) and at most "
            f"{max(left, 0):,} ({n_train:,} less validation_size), "
            f"received {settings.train_limit:,}; leave it out to train on all"
        )
    return faults


def not_own_faults(settings: DataSettings) -> list[str]:
    """Why settings do not fit a named data set: they are for own data only."""
    return [
        f"{field} must be left out: it is for your own data, received {value} with "
        f"{settings.source}"
        for field, value in settings.of_own_data.items()
    ]


def _own_validation_faults(
    settings: DataSettings, n_train: int, n_classes: int, n_validation: int
) -> list[str]:
    faults = []
    if settings.validation_size is not None:
        faults.append(
            f"validation_size must be left out: the data have {n_validation:,} validation images "
            f"of their own, received {settings.validation_size:,}"
        )
    if settings.train_limit is not None and not n_classes <= settings.train_limit <= n_train:
        faults.append(
            f"train_limit must be {n_classes} (one image per class) to {n_train:,}, "
            f"received {settings.train_limit:,}; leave it out to train on all"
        )
    return faults


def _generator(seed: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, purpose]))
