"""An epoch as one JAX program; Keras' `fit` would copy every batch from the processor.

The images stay on the device for an epoch as uint8. A step gathers its batch there, scales it and
updates the weights, and the loop over the steps is part of the program. The functions are Keras'
own (`stateless_call`, `stateless_apply`), so results equal those of `fit` up to the order of sums.
For GPUs only: on a processor XLA's convolutions are five times slower inside a loop.

Compiling for a GPU takes longer than five epochs of Fashion-MNIST, so a step is compiled once: a
shorter last batch is padded with images that do not count. With batch normalisation they would
count, so there the last batch is compiled separately. (Padding does not change dropout: JAX draws
the same first numbers for a longer row.)

`benchmarks/training_speed.py` measures it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.data.dataset import Split
from cnn_pipeline.network.engines.chunks import Chunks
from cnn_pipeline.network.engines.keras_fit import (
    EVALUATION_BATCH,
    keras_optimizer,
    normalises_batches,
)
from cnn_pipeline.network.history import Sums
from cnn_pipeline.settings.trial import Training

Values = list[jax.Array]
State = tuple[Values, Values, Values]
"""Trainable variables, other variables of the model, variables of the optimizer."""


class JaxEngine:
    """Trains with JAX functions instead of `compile` and `fit`."""

    def __init__(
        self,
        model: keras.Model,
        training: Training,
        images: int,
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        self._model = model
        self._weights = weights
        self._optimizer = keras_optimizer(training, images)
        self._optimizer.build(model.trainable_variables)
        # Where `compile` would put it.
        model.optimizer = self._optimizer
        self._batch_size = training.batch_size
        self._fills_up = not normalises_batches(model)
        self._chunks = Chunks()
        self._run = jax.jit(self._run_steps)
        self._scores = jax.jit(self._score)

    def epoch(
        self,
        split: Split,
        order: np.ndarray,
        told: Callable[[int, Sums | None], None],
        start: Sums | None = None,
    ) -> tuple[float, float]:
        """Train on `split` once in this order; loss and accuracy while the weights changed."""
        images, labels = jnp.asarray(split.images[:]), jnp.asarray(split.labels, jnp.int32)
        total, right, done = 0.0, 0, 0
        for batches, sizes in self._batches(order):
            ends = done + np.cumsum(sizes)
            losses, hits = self._chunks.run(
                len(batches),
                partial(self._call, images, labels, batches, sizes),
                partial(_tell, told, ends, done == 0),
                None if done else start,
            )
            total += float(losses.sum())
            right += hits
            done = int(ends[-1])
        return total / len(order), right / len(order)

    def evaluate(self, split: Split) -> tuple[float, float]:
        """Loss and accuracy on `split` with the present weights."""
        count = len(split.labels)
        trainable, other, _ = self._state()
        total, right = 0.0, 0
        for start in range(0, count, EVALUATION_BATCH):
            # Another length would be compiled again, so the last batch is padded with any images.
            numbers = np.arange(start, start + EVALUATION_BATCH)
            own = min(EVALUATION_BATCH, count - start)
            losses, hits = self._scores(
                trainable, other, split.images[numbers % count], split.labels[numbers % count]
            )
            total += float(np.asarray(losses, np.float64)[:own].sum())
            right += int(np.asarray(hits)[:own].sum())
        return total / count, right / count

    def _batches(self, order: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Positions of images, int32 `[steps, n]`, and how many of each row count, `[steps]`.

        A padded last batch is a row among the others; otherwise it comes separately.
        """
        size = min(self._batch_size, len(order))
        rest = len(order) % size
        if rest and self._fills_up:
            rows = np.pad(order, (0, size - rest)).astype(np.int32).reshape(-1, size)
            return [(rows, np.append(np.full(len(rows) - 1, size), rest).astype(np.int32))]
        parts = [order[: len(order) - rest].reshape(-1, size), order[None, len(order) - rest :]]
        return [
            (rows.astype(np.int32), np.full(len(rows), rows.shape[1], np.int32))
            for rows in parts
            if rows.size
        ]

    def _call(
        self,
        images: jax.Array,
        labels: jax.Array,
        batches: np.ndarray,
        sizes: np.ndarray,
        chunk: slice,
    ) -> tuple[np.ndarray, int]:
        """Run the steps in `chunk`: summed losses, float64 `[steps]`, and number of hits."""
        state, losses, hits = self._run(
            self._state(), images, labels, batches, sizes, chunk.start, chunk.stop
        )
        self._assign(state)
        return np.asarray(losses, np.float64)[chunk], int(hits)

    def _groups(self) -> tuple[list[keras.Variable], list[keras.Variable], list[keras.Variable]]:
        model = self._model
        return model.trainable_variables, model.non_trainable_variables, self._optimizer.variables

    def _state(self) -> State:
        trainable, other, optimizer_state = (
            [variable.value for variable in group] for group in self._groups()
        )
        return trainable, other, optimizer_state

    def _assign(self, state: State) -> None:
        for group, values in zip(self._groups(), state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)

    def _run_steps(
        self,
        state: State,
        images: jax.Array,
        labels: jax.Array,
        batches: jax.Array,
        sizes: jax.Array,
        first: jax.Array,
        stop: jax.Array,
    ) -> tuple[State, jax.Array, jax.Array]:
        """One step per row of `batches` `[steps, n]` from `first` to before `stop`.

        Returns the new state, the summed losses, float32 `[steps]` (0 for other rows), and the
        number of hits. `first` and `stop` are values, so one program does for any length.
        """

        def take(step: jax.Array, carried: Any) -> Any:
            state, losses, hits = carried
            row = batches[step]
            state, loss, right = self._step(state, images[row], labels[row], sizes[step])
            return state, losses.at[step].set(loss), hits + right

        nothing = (state, jnp.zeros(len(batches), jnp.float32), jnp.int32(0))
        done: tuple[State, jax.Array, jax.Array] = jax.lax.fori_loop(first, stop, take, nothing)
        return done

    def _step(
        self, state: State, images: jax.Array, labels: jax.Array, size: jax.Array
    ) -> tuple[State, jax.Array, jax.Array]:
        """One step on the mean loss of the first `size` images; their summed loss and hits."""
        trainable, other, optimizer_state = state
        counts = jnp.arange(len(labels)) < size

        def mean_loss(trainable: Values) -> tuple[jax.Array, Any]:
            logits, moved = self._model.stateless_call(trainable, other, images, training=True)
            losses = _cross_entropies(labels, logits)
            if self._weights is not None:
                losses *= jnp.asarray(self._weights)[labels]
            loss = jnp.where(counts, losses, 0.0).sum()
            right = (_hits(labels, logits) & counts).sum(dtype=jnp.int32)
            return loss / size, (moved, loss, right)

        gradients, (other, loss, right) = jax.grad(mean_loss, has_aux=True)(trainable)
        trainable, optimizer_state = self._optimizer.stateless_apply(
            optimizer_state, gradients, trainable
        )
        return (trainable, other, optimizer_state), loss, right

    def _score(
        self, trainable: Values, other: Values, images: jax.Array, labels: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        logits, _ = self._model.stateless_call(trainable, other, images, training=False)
        return _cross_entropies(labels, logits), _hits(labels, logits)


def _tell(
    told: Callable[[int, Sums | None], None],
    ends: np.ndarray,
    goes_on: bool,
    steps: int,
    sums: Sums,
) -> None:
    """Report images instead of steps; `ends` is the number of images after each step."""
    told(int(ends[steps - 1]), sums if goes_on else None)


def _cross_entropies(labels: jax.Array, logits: jax.Array) -> jax.Array:
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return jax.nn.logsumexp(logits, axis=1) - own


def _hits(labels: jax.Array, logits: jax.Array) -> jax.Array:
    return jnp.argmax(logits, axis=1) == labels
