"""An epoch as a TensorFlow graph, with each batch divided among the threads of the processor.

Two things make it faster than Keras' `fit` on a processor, with the same results up to rounding:

- A chunk of steps is one call with uint8 images. Scaling, both passes and the optimizer run in the
  graph, without Python between the steps. (Keeping all images in TensorFlow was not faster, and
  held them twice.)
- A batch is split into as many parts as there are threads. Each part runs forward and backward on
  its own thread, and the gradients of the parts are added in a fixed order. An operation divided
  among two threads waits for the slower half every time; two independent halves wait once per
  step. (This is data parallelism as between machines: Goyal et al. 2017, 'Accurate, large
  minibatch SGD', section 3.)

`benchmarks/training_speed.py` measures it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cnn_pipeline.data.dataset import Split
from cnn_pipeline.network.engines.chunks import Chunks
from cnn_pipeline.network.engines.fused_adam import FusedAdam
from cnn_pipeline.network.engines.keras_fit import (
    keras_optimizer,
    normalises_batches,
    optimizer_arguments,
)
from cnn_pipeline.network.history import Sums
from cnn_pipeline.settings.trial import Training

# With batches of 500 and no pooling, the first validation spent 0.6 s allocating memory.
EVALUATION_BATCH = 256


class GraphEngine:
    """Trains with TensorFlow functions instead of `compile` and `fit`."""

    def __init__(
        self,
        model: keras.Model,
        training: Training,
        images: int,
        threads: int,
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        self._model = model
        self._weights = weights
        self._batch_size = training.batch_size
        # Batch normalisation needs the whole batch.
        self._parts = 1 if normalises_batches(model) else threads
        self._optimizer = _optimizer(training, images)
        self._optimizer.build(model.trainable_variables)
        # Where `compile` would put it.
        model.optimizer = self._optimizer
        self._chunks = Chunks()
        self._steps_of: dict[int, Any] = {}
        # Without a signature, each new number of images or steps is traced: 0.2 s. AutoGraph has
        # nothing to convert here, but takes 0.3 s per process.
        self._scores = tf.function(
            self._score, input_signature=self._batches(dimensions=1), autograph=False
        )

    def epoch(
        self,
        split: Split,
        order: np.ndarray,
        told: Callable[[int, Sums], None],
        start: Sums | None = None,
    ) -> tuple[float, float]:
        """Train on `split` once in this order; loss and accuracy while the weights changed."""
        size = self._batch_size
        full = len(order) // size
        batches, rest = order[: full * size].reshape(full, size), order[full * size :]
        losses, right = self._chunks.run(
            full,
            lambda chunk: self._call(split, batches[chunk]),
            lambda steps, sums: told(steps * size, sums),
            start,
        )
        if len(rest):
            last, hits = self._call(split, rest[None])
            losses, right = np.append(losses, last), right + hits
        return float(losses.sum() / len(order)), right / len(order)

    def evaluate(self, split: Split) -> tuple[float, float]:
        """Loss and accuracy on `split` with the present weights."""
        total, right = 0.0, 0
        for start in range(0, len(split.labels), EVALUATION_BATCH):
            stop = start + EVALUATION_BATCH
            losses, hits = self._scores(
                tf.constant(split.images[start:stop]), tf.constant(split.labels[start:stop])
            )
            total += float(losses.numpy().sum(dtype=np.float64))
            right += int(hits)
        return total / len(split.labels), right / len(split.labels)

    def _call(self, split: Split, batches: np.ndarray) -> tuple[np.ndarray, int]:
        """One step per row of `batches`: summed losses, float64 `[steps]`, and number of hits."""
        steps = self._steps(min(self._parts, batches.shape[1]))
        losses, hits = steps(tf.constant(split.images[batches]), tf.constant(split.labels[batches]))
        return losses.numpy().astype(np.float64), int(hits)

    def _steps(self, parts: int) -> Any:
        """`_run_steps` for this number of parts as a TensorFlow function."""
        if parts not in self._steps_of:
            self._steps_of[parts] = tf.function(
                partial(self._run_steps, parts=parts),
                input_signature=self._batches(dimensions=2),
                autograph=False,
            )
        return self._steps_of[parts]

    def _batches(self, dimensions: int) -> list[tf.TensorSpec]:
        """Signature: images and labels with this many leading dimensions of any length."""
        any_length = [None] * dimensions
        return [
            tf.TensorSpec([*any_length, *self._model.input_shape[1:]], tf.uint8),
            tf.TensorSpec(any_length, tf.int64),
        ]

    def _run_steps(
        self, images: tf.Tensor, labels: tf.Tensor, parts: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """One step per batch of images `[steps, n, h, w, c]` and labels `[steps, n]`."""
        count = tf.shape(labels)[0]

        def take(step: tf.Tensor, losses: tf.TensorArray, hits: tf.Tensor) -> tuple[Any, ...]:
            loss, right = self._step(images[step], labels[step], parts)
            return step + 1, losses.write(step, loss), hits + right

        _, losses, hits = tf.while_loop(
            lambda step, *_: step < count,
            take,
            [tf.constant(0), tf.TensorArray(tf.float32, size=count), tf.constant(0, tf.int64)],
        )
        return losses.stack(), hits

    def _step(
        self, images: tf.Tensor, labels: tf.Tensor, parts: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """One optimizer step on the mean loss of a batch: its summed loss and number of hits."""
        size = tf.shape(labels)[0]
        loss, right = tf.constant(0.0), tf.constant(0, tf.int64)
        gradients: list[Any] = []
        for part, wanted in zip(_cut(images, size, parts), _cut(labels, size, parts), strict=True):
            part_loss, part_right, part_gradients = self._part(part, wanted, size)
            loss += part_loss
            right += part_right
            gradients = (
                [a + b for a, b in zip(gradients, part_gradients, strict=True)]
                if gradients
                else part_gradients
            )
        self._optimizer.apply(gradients, self._model.trainable_variables)
        return loss, right

    def _part(
        self, images: tf.Tensor, labels: tf.Tensor, size: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        variables = [variable.value for variable in self._model.trainable_variables]
        with tf.GradientTape() as tape:
            logits = self._model(images, training=True)
            losses = _cross_entropies(labels, logits)
            if self._weights is not None:
                losses *= tf.gather(tf.constant(self._weights), labels)
            loss = tf.reduce_sum(losses)
            # This part's share of the mean over the whole batch.
            share = loss / tf.cast(size, tf.float32)
        return loss, _hits(labels, logits), tape.gradient(share, variables)

    def _score(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = self._model(images, training=False)
        return _cross_entropies(labels, logits), _hits(labels, logits)


def _optimizer(training: Training, images: int) -> keras.optimizers.Optimizer:
    if training.optimizer == "adam":
        return FusedAdam(**optimizer_arguments(training, images))
    return keras_optimizer(training, images)


def _cut(batch: tf.Tensor, size: tf.Tensor, parts: int) -> list[tf.Tensor]:
    """Split a batch into `parts`; the first ones are longer by one if sizes differ."""
    if parts == 1:
        return [batch]
    sizes = [(size + parts - 1 - number) // parts for number in range(parts)]
    return list(tf.split(batch, tf.stack(sizes), num=parts))


def _cross_entropies(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def _hits(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.math.count_nonzero(tf.argmax(logits, axis=1, output_type=labels.dtype) == labels)
