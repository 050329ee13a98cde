"""Stratified subsets of exact size: the same seed gives the same subset on every machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.settings.trial import DataSettings

Indices = NDArray[np.int64]


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


def split_train(labels: NDArray[np.int64], settings: DataSettings) -> tuple[Indices, Indices]:
    """Positions of the training images and of the validation images, each in file order.

    Every class keeps a training image. The validation images depend only on `validation_size` and
    `split_seed`, so runs with different `train_limit` have the same ones.

    Args:
        labels: int64 `[n]` with every class from 0 to k-1.
        settings: sizes that `check_settings` accepts.
    """
    counts = np.bincount(labels)
    size = settings.num_validation(len(labels), len(counts))
    taken = allocate(counts, size, np.minimum(1, counts - 1), counts - 1)
    validation, train = stratified(labels, taken, _generator(settings.split_seed, 0))
    if settings.train_limit is not None and settings.train_limit < len(train):
        left = counts - taken
        few = allocate(left, settings.train_limit, np.ones_like(left), left)
        drawn, _ = stratified(labels[train], few, _generator(settings.split_seed, 1))
        train = train[drawn]
    return train, validation


def check_settings(settings: DataSettings, n_train: int, n_classes: int) -> list[str]:
    """Why the split does not fit `n_train` training images of `n_classes`; empty if it does."""
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


def _generator(seed: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, purpose]))
