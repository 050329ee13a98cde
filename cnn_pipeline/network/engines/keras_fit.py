"""Train with Keras' own `fit`: any backend, any device."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.data.dataset import Split
from cnn_pipeline.data.rows import Rows
from cnn_pipeline.network.history import Sums
from cnn_pipeline.network.schedule import learning_rate
from cnn_pipeline.settings.trial import Training

EVALUATION_BATCH = 1000
STEPS_PER_EXECUTION = 16
"""Training steps between two returns to Python; does not change the results."""


class KerasEngine:
    """Trains with `compile` and `fit`."""

    def __init__(
        self,
        model: keras.Model,
        training: Training,
        images: int,
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        model.compile(
            optimizer=keras_optimizer(training, images),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            steps_per_execution=STEPS_PER_EXECUTION,
        )
        self._model = model
        self._batch_size = training.batch_size
        self._weights = None if weights is None else dict(enumerate(map(float, weights)))

    def epoch(
        self,
        split: Split,
        order: np.ndarray,
        told: Callable[[int, None], None],
        start: Sums | None = None,
    ) -> tuple[float, float]:
        """Train on `split` once in this order; loss and accuracy while the weights changed.

        Raises:
            ValueError: `start` is given, but `fit` cannot go on within an epoch.
        """
        if start is not None:
            raise ValueError("Keras' fit goes on between epochs only")
        progress = _Progress(told, self._batch_size, len(order))
        fitted = self._model.fit(
            **_fed(split, self._batch_size, order),
            shuffle=False,
            class_weight=self._weights,
            verbose=0,
            callbacks=[progress],
        ).history
        if progress.weights is not None:
            self._model.set_weights(progress.weights)
        return float(fitted["loss"][-1]), float(fitted["accuracy"][-1])

    def evaluate(self, split: Split) -> tuple[float, float]:
        """Loss and accuracy on `split` with the present weights."""
        loss, accuracy = self._model.evaluate(**_fed(split, EVALUATION_BATCH), verbose=0)
        return float(loss), float(accuracy)


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of images that stay on the disk."""

    def __init__(self, split: Split, size: int, order: np.ndarray) -> None:
        super().__init__()
        self._split, self._size, self._order = split, size, order

    def __len__(self) -> int:
        return -(-len(self._order) // self._size)

    def __getitem__(self, at: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self._order[at * self._size : (at + 1) * self._size]
        return self._split.images[rows], self._split.labels[rows]


def _fed(split: Split, size: int, order: np.ndarray | None = None) -> dict[str, Any]:
    """Arguments that give Keras a split in this order; arrays are faster than batches."""
    if isinstance(split.images, Rows):
        return {"x": _Batches(split, size, np.arange(len(split)) if order is None else order)}
    chosen = slice(None) if order is None else order
    return {"x": split.images[chosen], "y": split.labels[chosen], "batch_size": size}


def keras_optimizer(training: Training, images: int) -> keras.optimizers.Optimizer:
    """Keras' optimizer as `training` has it, for a training with so many images."""
    return keras.optimizers.get(
        {"class_name": training.optimizer, "config": optimizer_arguments(training, images)}
    )


def optimizer_arguments(training: Training, images: int) -> dict[str, Any]:
    """Arguments of an optimizer: learning rate, weight decay, and average of the weights.

    Keras decays every variable of the network, apart from the gradient, with any optimizer
    (Loshchilov and Hutter 2019, 'Decoupled weight decay regularization').
    """
    arguments: dict[str, Any] = {"learning_rate": learning_rate(training, images)}
    if training.weight_decay or (training.weight_decay == 0 and training.optimizer == "adamw"):
        arguments["weight_decay"] = training.weight_decay  # None is an error of Keras' AdamW
    if training.ema_momentum:
        arguments |= {"use_ema": True, "ema_momentum": training.ema_momentum}
    return arguments


def normalises_batches(model: keras.Model) -> bool:
    """Whether an image's output in training depends on the other images of its batch."""
    return any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)


class _Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """Reports Keras' batches as numbers of images, a few times a second.

    Keeps the last weights of an epoch where the optimizer averages them, as `fit` ends with the
    average.
    """

    SECONDS_BETWEEN = 0.25

    def __init__(self, told: Callable[[int, None], None], batch_size: int, count: int) -> None:
        super().__init__()
        self._told = told
        self._batch_size = batch_size
        self._count = count
        self._last = 0.0
        self.weights: list[np.ndarray] | None = None

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        now = time.perf_counter()
        if now - self._last < self.SECONDS_BETWEEN:
            return
        self._last = now
        self._told(min((batch + 1) * self._batch_size, self._count), None)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.model.optimizer.use_ema:
            self.weights = self.model.get_weights()
