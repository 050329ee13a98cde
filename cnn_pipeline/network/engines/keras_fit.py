"""Train with Keras' own `fit`: any backend, any device."""

from __future__ import annotations

import time
from collections.abc import Callable

import keras
import numpy as np

from cnn_pipeline.data.dataset import Split
from cnn_pipeline.settings.trial import Training

EVALUATION_BATCH = 1000
STEPS_PER_EXECUTION = 16
"""Training steps between two returns to Python; does not change the results."""


class KerasEngine:
    """Trains with `compile` and `fit`."""

    def __init__(self, model: keras.Model, training: Training) -> None:
        model.compile(
            optimizer=keras_optimizer(training),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            steps_per_execution=STEPS_PER_EXECUTION,
        )
        self._model = model
        self._batch_size = training.batch_size

    def epoch(
        self, split: Split, order: np.ndarray, told: Callable[[int], None]
    ) -> tuple[float, float]:
        """Train on `split` once in this order; loss and accuracy while the weights changed."""
        fitted = self._model.fit(
            split.images[order],
            split.labels[order],
            batch_size=self._batch_size,
            shuffle=False,
            verbose=0,
            callbacks=[_Progress(told, self._batch_size, len(order))],
        ).history
        return float(fitted["loss"][-1]), float(fitted["accuracy"][-1])

    def evaluate(self, split: Split) -> tuple[float, float]:
        """Loss and accuracy on `split` with the present weights."""
        loss, accuracy = self._model.evaluate(
            split.images, split.labels, batch_size=EVALUATION_BATCH, verbose=0
        )
        return float(loss), float(accuracy)


def keras_optimizer(training: Training) -> keras.optimizers.Optimizer:
    """Keras' optimizer with the name and learning rate in `training`."""
    return keras.optimizers.get(
        {"class_name": training.optimizer, "config": {"learning_rate": training.learning_rate}}
    )


def normalises_batches(model: keras.Model) -> bool:
    """Whether an image's output in training depends on the other images of its batch."""
    return any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)


class _Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """Reports Keras' batches as numbers of images, a few times a second."""

    SECONDS_BETWEEN = 0.25

    def __init__(self, told: Callable[[int], None], batch_size: int, count: int) -> None:
        super().__init__()
        self._told = told
        self._batch_size = batch_size
        self._count = count
        self._last = 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        now = time.perf_counter()
        if now - self._last < self.SECONDS_BETWEEN:
            return
        self._last = now
        self._told(min((batch + 1) * self._batch_size, self._count))
