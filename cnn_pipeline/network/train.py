"""Train one model, epoch by epoch.

The order of the images in epoch e depends on (seed, e) alone, and random state is set at the start
of each epoch. So an epoch can be repeated or resumed without running the epochs before it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial

import keras
import numpy as np

from cnn_pipeline.data.dataset import Split
from cnn_pipeline.network.device import Device
from cnn_pipeline.network.engines import engine_for
from cnn_pipeline.network.history import Epoch, History
from cnn_pipeline.settings.trial import Training


class Diverged(Exception):
    """The loss became NaN or infinite."""


class Callback:
    """Called during training; the only place for side effects."""

    def on_images(self, epoch: int, images: int) -> None:
        """Called several times per epoch with the number of its images trained so far."""

    def on_epoch(self, epoch: Epoch) -> None:
        """Called after each epoch and its validation."""


def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Order of the training images in an epoch: a permutation, int64 `[count]`."""
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(count)


def train(
    twin: keras.Model,
    train_split: Split,
    validation: Split,
    training: Training,
    device: Device,
    *,
    seed: int,
    callbacks: Sequence[Callback] = (),
) -> History:
    """Train `twin`, which returns logits, on `train_split`, with validation after each epoch.

    Raises:
        Diverged: a loss is NaN or infinite.
    """
    engine = engine_for(twin, training, device)
    epochs: list[Epoch] = []
    fit_seconds: list[float] = []
    stop_reason = ""
    for number in range(training.epochs):
        started = time.perf_counter()
        order = epoch_order(seed, number, len(train_split.labels))
        _seed_layers(twin, seed, number)
        loss, accuracy = engine.epoch(train_split, order, partial(_tell, callbacks, number))
        fit_seconds.append(time.perf_counter() - started)
        val_loss, val_accuracy = engine.evaluate(validation)
        epoch = Epoch(
            epoch=number,
            loss=loss,
            accuracy=accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            learning_rate=training.learning_rate,
            epoch_seconds=time.perf_counter() - started,
        )
        if not (math.isfinite(epoch.loss) and math.isfinite(epoch.val_loss)):
            raise Diverged(
                f"the loss became {epoch.loss:g} (validation {epoch.val_loss:g}) in epoch "
                f"{number + 1}: lower the learning rate, received {training.learning_rate:g}"
            )
        epochs.append(epoch)
        for callback in callbacks:
            callback.on_epoch(epoch)
        if training.stop_at_accuracy is not None and epoch.accuracy > training.stop_at_accuracy:
            stop_reason = (
                f"training accuracy {epoch.accuracy:.4f} passed {training.stop_at_accuracy:g} "
                f"in epoch {number + 1}"
            )
            break
    steady = fit_seconds[1:] or fit_seconds
    return History(
        epochs=tuple(epochs),
        train_seconds=sum(epoch.epoch_seconds for epoch in epochs),
        images_per_second=len(train_split.labels) * len(steady) / sum(steady),
        stop_reason=stop_reason,
    )


def _seed_layers(model: keras.Model, seed: int, epoch: int) -> None:
    """Set the state of each dropout layer from (seed, epoch, layer)."""
    generators = [getattr(layer, "seed_generator", None) for layer in model.layers]
    # Numbered among themselves, so other layers do not change the state.
    for number, generator in enumerate((one for one in generators if one is not None), start=1):
        state = np.random.SeedSequence([seed, epoch, number]).generate_state(2, np.uint32)
        generator.state.assign(state)


def _tell(callbacks: Sequence[Callback], epoch: int, images: int) -> None:
    for callback in callbacks:
        callback.on_images(epoch, images)
