"""The learning rate along a training: constant, half a cosine, or one cycle.

One cycle (Smith and Topin 2019, 'Super-convergence: very fast training of neural networks using
large learning rates') rises linearly from a 25th of the learning rate to all of it, for 30 % of the
steps, then falls to 0 along half a cosine. The momentum stays as it is. The shares are those that
PyTorch's `OneCycleLR` has by default.
"""

from __future__ import annotations

import math

from keras.optimizers.schedules import CosineDecay

from cnn_pipeline.settings.trial import Training

_RISING = 0.3
_FIRST = 1 / 25


def learning_rate(training: Training, images: int) -> float | CosineDecay:
    """The learning rate for Keras' optimizers, for a training with so many images."""
    rate = training.learning_rate
    steps = training.epochs * _steps_per_epoch(training, images)
    rising = _rising(training, steps)
    if training.schedule == "constant":
        return rate
    if not rising:
        return CosineDecay(rate, steps)
    return CosineDecay(rate * _FIRST, steps - rising, warmup_target=rate, warmup_steps=rising)


def first_rate(training: Training, images: int, epoch: int) -> float:
    """Learning rate of the first step of an epoch."""
    rate, share = training.learning_rate, epoch / training.epochs
    if training.schedule == "constant":
        return rate
    each = _steps_per_epoch(training, images)
    steps, step = training.epochs * each, epoch * each
    rising = _rising(training, steps)
    if step < rising:
        return rate * (_FIRST + (1 - _FIRST) * step / rising)
    if rising:
        share = (step - rising) / (steps - rising)
    return rate * (1 + math.cos(math.pi * share)) / 2


def _steps_per_epoch(training: Training, images: int) -> int:
    return math.ceil(images / training.batch_size)


def _rising(training: Training, steps: int) -> int:
    """Steps in which the learning rate rises."""
    return int(_RISING * steps) if training.schedule == "one-cycle" else 0
