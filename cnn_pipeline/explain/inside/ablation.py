"""What each filter contributes: accuracy with its map set to zero.

The next layer sums over its inputs, so setting a map to zero subtracts its share from that sum.
Only the share is computed for each filter, not the whole layer: with n filters about n times
cheaper. Everything before that layer is computed once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import keras
import numpy as np

from cnn_pipeline.data.rows import Images
from cnn_pipeline.explain.inside.findings import LayerAblation
from cnn_pipeline.explain.inside.layers import batches, next_weighted

_CONFIDENCE = 0.95
# Multiply-accumulates and moved numbers per layer, about 15 s on two cores. A moved number counts
# `_MOVED` times, because moving it costs more than a multiplication.
BUDGET = 6e11
_MOVED = 12
_FEWEST = 200


def ablate(
    model: keras.Sequential,
    layer: keras.layers.Conv2D,
    images: Images,
    labels: np.ndarray,
    budget: float = BUDGET,
) -> LayerAblation:
    """Switch off each filter of `layer` in turn and score the images without it.

    images: uint8 `[n, h, w, c]`; labels: int64 `[n]`. If all of them would cost more than
    `budget`, only the first ones are scored, but at least 200.
    """
    count = min(len(images), max(_FEWEST, int(budget / _cost(model, layer))))
    scored = [_score(model, layer, images[at], labels[at]) for at in batches(np.arange(count))]
    whole = np.concatenate([right for right, _ in scored])
    without = np.concatenate([rights for _, rights in scored], axis=1)
    return summarize(layer.name, whole, without, labels[:count])


def summarize(
    name: str, whole: np.ndarray, without: np.ndarray, labels: np.ndarray
) -> LayerAblation:
    """The result for a layer, from the images that are classified correctly.

    whole: bool `[n]`, with all filters; without: bool `[filters, n]`, without that filter.

    The margins are half widths of Wald intervals for paired proportions (Agresti 2013,
    "Categorical Data Analysis", section 11.1.1) with Bonferroni's correction: with 64 filters, two
    or three would be significant by chance.
    """
    count = len(labels)
    quantile = NormalDist().inv_cdf(1 - (1 - _CONFIDENCE) / 2 / len(without))
    lost = (whole & ~without).sum(axis=1)
    gained = (~whole & without).sum(axis=1)
    # Add one image on either side: without any disagreement the margin would be 0.
    margins = quantile * np.sqrt(lost + gained + 2 - (lost - gained) ** 2 / count) / count
    present = np.unique(labels)
    losses = np.stack(
        [whole[labels == k].mean() - without[:, labels == k].mean(axis=1) for k in present]
    )
    hurt_by = losses.max(axis=0)
    return LayerAblation(
        layer=name,
        accuracy=float(whole.mean()),
        accuracies=without.mean(axis=1),
        margins=margins,
        hurt=np.where(hurt_by > 0, present[losses.argmax(axis=0)], -1),
        hurt_by=hurt_by.clip(0.0),
        images=count,
    )


def _score(
    model: keras.Sequential, layer: keras.layers.Conv2D, batch: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which images are right with all filters, bool `[b]`, and without each, `[filters, b]`."""
    position = next_weighted(model, layer)
    summing, rest = model.layers[position], model.layers[position + 1 :]
    maps, given = _until(model.layers[:position], batch)
    total = _sum(summing, given, summing.kernel, bias=True)
    right = _right(summing, rest, total, truth)
    rights = []
    for k in range(layer.filters):
        if isinstance(summing, keras.layers.Dense):
            # Flattening interleaves the maps: every `filters`-th number is from this one.
            weights = summing.kernel[k :: layer.filters]
            share = keras.ops.reshape(maps[..., k], (len(batch), -1)) @ weights
        else:
            share = _sum(summing, maps[..., k : k + 1], summing.kernel[:, :, k : k + 1], bias=False)
        rights.append(_right(summing, rest, total - share, truth))
    return right, np.stack(rights)


def _until(layers: Sequence[keras.layers.Layer], batch: np.ndarray) -> tuple[Any, Any]:
    """The maps `[b, h, w, filters]` before the summing layer, and that layer's input."""
    maps = given = keras.ops.convert_to_tensor(batch)
    for layer in layers:
        given = layer(given, training=False)
        if len(given.shape) == 4:
            maps = given
    return maps, given


def _sum(layer: keras.layers.Layer, given: Any, kernel: Any, *, bias: bool) -> Any:
    """The sums of a convolution or dense layer, before its activation."""
    if isinstance(layer, keras.layers.Dense):
        total = given @ kernel
    else:
        total = keras.ops.conv(given, kernel, strides=layer.strides, padding=layer.padding)
    return total + layer.bias if bias and layer.use_bias else total


def _right(
    summing: keras.layers.Layer, rest: Sequence[keras.layers.Layer], total: Any, truth: np.ndarray
) -> np.ndarray:
    values = summing.activation(total)
    for layer in rest:
        values = layer(values, training=False)
    return np.asarray(keras.ops.convert_to_numpy(values).argmax(axis=1) == truth)


def _cost(model: keras.Sequential, layer: keras.layers.Conv2D) -> float:
    """Cost of one image for all filters of `layer`."""
    position = next_weighted(model, layer)
    first, *rest = model.layers[position:]
    numbers = math.prod(first.output.shape[1:])
    each = _macs(first) / layer.filters + _MOVED * numbers
    each += sum(_macs(later) + _MOVED * math.prod(later.output.shape[1:]) for later in rest)
    return float(layer.filters * each)


def _macs(layer: keras.layers.Layer) -> int:
    if isinstance(layer, keras.layers.Conv2D):
        return int(math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:3]))
    if isinstance(layer, keras.layers.Dense):
        return math.prod(layer.kernel.shape)
    return 0
