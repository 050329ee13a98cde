"""Train one model, epoch by epoch.

The order of the images in epoch e depends on (seed, e) alone, and random state is set at the start
of each epoch. So an epoch needs nothing of those before it but the variables (`_variables`), which
a checkpoint holds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import keras
import numpy as np

from cnn_pipeline.base.quantities import counted
from cnn_pipeline.data.dataset import Split
from cnn_pipeline.network.augmentation import Augmentation
from cnn_pipeline.network.checkpoint import Checkpoint, Checkpoints
from cnn_pipeline.network.class_weights import class_weights
from cnn_pipeline.network.device import Device
from cnn_pipeline.network.engines import engine_for
from cnn_pipeline.network.history import (
    Epoch,
    History,
    Progress,
    Sums,
    best_epoch,
    out_of_patience,
)
from cnn_pipeline.network.schedule import first_rate
from cnn_pipeline.settings.trial import Training


class Diverged(Exception):
    """The loss became NaN or infinite."""


class Callback:
    """Called during training; the only place for side effects."""

    def on_resume(self, epochs: tuple[Epoch, ...], images: int) -> None:
        """Called before training that goes on from a checkpoint.

        `epochs` are complete, and of the next one so many images are trained.
        """

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
    checkpoints: Checkpoints | None = None,
    checkpoint_seconds: float = 60.0,
) -> History:
    """Train `twin`, which returns logits, on `train_split`, with validation after each epoch.

    With `checkpoints` it goes on from the newest, and writes one after each epoch and, where the
    engine can go on within an epoch, whenever `checkpoint_seconds` have passed without one. What
    is computed is the same, bit for bit. With `training.patience` the twin ends with the weights
    after its best epoch.

    Raises:
        Diverged: a loss is NaN or infinite.
    """
    count = len(train_split.labels)
    weights = class_weights(training, train_split.labels, twin.output_shape[-1])
    engine = engine_for(twin, training, count, device, weights)
    progress, sums = Progress(), None
    saver = Saver(twin, checkpoints, checkpoint_seconds)
    if checkpoints is not None and (saved := checkpoints.load()) is not None:
        progress, sums, saver.best = saved.progress, saved.sums, saved.best
        _restore(twin, saved.arrays)
        steps = len(sums.losses) if sums else 0
        for callback in callbacks:
            callback.on_resume(progress.epochs, min(steps * training.batch_size, count))
        if _is_over(progress, training):
            _take_averages(twin)
    if not _is_over(progress, training):
        progress = replace(progress, starts=(*progress.starts, len(progress.epochs)))
    while not _is_over(progress, training):
        number = len(progress.epochs)
        started = time.perf_counter() - progress.seconds
        told = partial(_told, callbacks, saver, progress, started)
        order = epoch_order(seed, number, count)
        if sums is None:
            _seed_layers(twin, seed, number)
        loss, accuracy = engine.epoch(train_split, order, told, sums)
        fitted = time.perf_counter() - started
        state = saver.state()
        last_weights = _take_averages(twin)
        val_loss, val_accuracy = engine.evaluate(validation)
        epoch = Epoch(
            epoch=number,
            loss=loss,
            accuracy=accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            learning_rate=first_rate(training, count, number),
            epoch_seconds=time.perf_counter() - started,
        )
        if not (math.isfinite(epoch.loss) and math.isfinite(epoch.val_loss)):
            raise Diverged(
                f"the loss became {epoch.loss:g} (validation {epoch.val_loss:g}) in epoch "
                f"{number + 1}: lower the learning rate, received {training.learning_rate:g}"
            )
        epochs = (*progress.epochs, epoch)
        progress = Progress(
            epochs=epochs,
            fit_seconds=(*progress.fit_seconds, fitted),
            starts=progress.starts,
            stop_reason=_stop_reason(training, epochs),
        )
        if training.patience is not None and _best(epochs) is epoch:
            saver.best = twin.get_weights()
        saver.save(progress, state)
        for callback in callbacks:
            callback.on_epoch(epoch)
        sums = None
        if last_weights is not None and not _is_over(progress, training):
            twin.set_weights(last_weights)
    if saver.best:
        twin.set_weights(saver.best)
    return _history(progress, training, count)


class Saver:
    """Writes the checkpoints of one training, if it has some."""

    def __init__(self, model: keras.Model, checkpoints: Checkpoints | None, seconds: float) -> None:
        self._model = model
        self._checkpoints = checkpoints
        self._seconds = seconds
        self._last = time.perf_counter()
        self.best: Sequence[np.ndarray] = ()
        """The weights after the best epoch so far; empty if they are not wanted."""

    def state(self) -> list[np.ndarray]:
        """Copies of the values of all variables; none if nothing is saved."""
        if self._checkpoints is None:
            return []
        return [variable.numpy() for variable in _variables(self._model)]

    def save(
        self, progress: Progress, state: Sequence[np.ndarray], sums: Sums | None = None
    ) -> None:
        """Write a checkpoint."""
        if self._checkpoints is not None:
            self._checkpoints.save(Checkpoint(progress, state, sums, self.best))
            self._last = time.perf_counter()

    def save_if_due(self, progress: Progress, started: float, sums: Sums | None) -> None:
        """Write a checkpoint within an epoch if the last one is old."""
        now = time.perf_counter()
        if self._checkpoints and sums is not None and now - self._last >= self._seconds:
            self.save(replace(progress, seconds=now - started), self.state(), sums)


def _told(
    callbacks: Sequence[Callback],
    saver: Saver,
    progress: Progress,
    started: float,
    images: int,
    sums: Sums | None,
) -> None:
    """Called by the engine within the epoch that follows `progress`."""
    for callback in callbacks:
        callback.on_images(len(progress.epochs), images)
    saver.save_if_due(progress, started, sums)


def _is_over(progress: Progress, training: Training) -> bool:
    return bool(progress.stop_reason) or len(progress.epochs) == training.epochs


def _stop_reason(training: Training, epochs: Sequence[Epoch]) -> str:
    """Why training stops after these epochs though there are more; empty if it does not."""
    epoch = epochs[-1]
    if training.stop_at_accuracy is not None and epoch.accuracy > training.stop_at_accuracy:
        return (
            f"training accuracy {epoch.accuracy:.4f} passed {training.stop_at_accuracy:g} "
            f"in epoch {epoch.epoch + 1}"
        )
    if out_of_patience([one.val_accuracy for one in epochs], training.patience):
        best = _best(epochs)
        return (
            f"validation accuracy did not pass the {best.val_accuracy:.4f} of epoch "
            f"{best.epoch + 1} in {counted(epoch.epoch - best.epoch, 'epoch')}, and its weights "
            "are kept"
        )
    return ""


def _best(epochs: Sequence[Epoch]) -> Epoch:
    return epochs[best_epoch([epoch.val_accuracy for epoch in epochs])]


def _history(progress: Progress, training: Training, images: int) -> History:
    """The record of a training with so many images."""
    steady = [
        seconds
        for number, seconds in enumerate(progress.fit_seconds)
        if number not in progress.starts
    ] or progress.fit_seconds
    return History(
        epochs=progress.epochs,
        train_seconds=sum(epoch.epoch_seconds for epoch in progress.epochs),
        images_per_second=images * len(steady) / sum(steady),
        stop_reason=progress.stop_reason,
        keeps_best=training.patience is not None,
    )


def _variables(model: keras.Model) -> list[keras.Variable]:
    """All that a step reads and writes: weights, states of generators, optimizer."""
    if not model.optimizer.built:  # `fit` would do it
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def _restore(model: keras.Model, state: Sequence[np.ndarray]) -> None:
    for variable, value in zip(_variables(model), state, strict=True):
        # NumPy's format has no bfloat16, only two bytes.
        own = value.view(variable.dtype) if value.dtype.kind == "V" else value
        variable.assign(own)


def _take_averages(model: keras.Model) -> list[np.ndarray] | None:
    """Replace the weights by their averages, where the optimizer has some.

    Returns:
        The weights before, to train on with; None if nothing was replaced.
    """
    if not model.optimizer.use_ema:
        return None
    weights: list[np.ndarray] = model.get_weights()
    model.optimizer.finalize_variable_values(model.trainable_weights)
    return weights


def _seed_layers(model: keras.Model, seed: int, epoch: int) -> None:
    """Set the state of augmentation and of each dropout layer from (seed, epoch, layer)."""
    random = [layer for layer in model.layers if getattr(layer, "seed_generator", None) is not None]
    # Numbered among themselves, so other layers do not change the state; augmentation is 0.
    random.sort(key=lambda layer: not isinstance(layer, Augmentation))
    first = 0 if random and isinstance(random[0], Augmentation) else 1
    for number, layer in enumerate(random, start=first):
        state = np.random.SeedSequence([seed, epoch, number]).generate_state(2, np.uint32)
        layer.seed_generator.state.assign(state)
