"""A candidate for JAX on a GPU: an epoch as one program, where Keras' `fit` has many calls.

`fit` hands every batch over from the processor, and spells 16 steps out in one program, which takes
long to compile. Here the images lie on the device, as uint8; a step takes its batch from there by
number, scales it and moves the weights; the loop around the steps is part of the program. The
functions are Keras' own (`stateless_call`, `stateless_apply`), so the numbers are those of `fit`
but for the order of sums. The same program with one more axis trains several seeds at once.

It is no engine of the project: it has not been measured on a GPU (`benchmarks.gpu` does), and on a
processor XLA's convolutions are five times slower inside a loop.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import keras
import numpy as np

from cnn_pipeline.config import Training
from cnn_pipeline.data import Split
from cnn_pipeline.engines.keras_fit import keras_optimizer

State = tuple[list[jax.Array], list[jax.Array], list[jax.Array]]
"""Values of what the optimizer moves, of the model's other variables, and of the optimizer's."""


class Scan:
    """Trains networks of one architecture at once, each in an order of its own."""

    def __init__(self, models: Sequence[keras.Model], training: Training) -> None:
        """`models`: logits out, alike but for their weights, without batch normalisation: the last
        batch of an epoch is filled up with images that count nothing, and there they would.

        Raises:
            ValueError: a model normalises batches.
        """
        if any(isinstance(one, keras.layers.BatchNormalization) for one in models[0].layers):
            raise ValueError("a model without batch normalisation is required")
        self._models = models
        self._batch_size = training.batch_size
        self._optimizers = [keras_optimizer(training) for _ in models]
        for model, optimizer in zip(models, self._optimizers, strict=True):
            optimizer.build(model.trainable_variables)
        self._run = jax.jit(
            self._epoch
            if len(models) == 1
            else jax.vmap(self._epoch, in_axes=(None, None, 0, None, 0))
        )

    def epoch(self, split: Split, orders: Sequence[np.ndarray]) -> list[tuple[float, float]]:
        """Train each model on all of `split` once, in its order; its loss (nats) and accuracy."""
        count = len(split.labels)
        rows = [_in_rows(order, self._batch_size) for order in orders]
        sizes = np.full(len(rows[0]), self._batch_size, np.int32)
        sizes[-1] -= rows[0].size - count
        state, losses, hits = self._run(
            jnp.asarray(split.images),
            jnp.asarray(split.labels.astype(np.int32)),
            jnp.asarray(_stacked(rows)),
            jnp.asarray(sizes),
            jax.tree.map(lambda *values: _stacked(values), *self._states()),
        )
        for number in range(len(self._models)):
            self._assign(number, _unstacked(state, number, len(self._models)))
        totals = np.asarray(losses, np.float64).reshape(len(orders), -1).sum(axis=1)
        right = np.asarray(hits).reshape(-1)
        return [(float(a / count), int(b) / count) for a, b in zip(totals, right, strict=True)]

    def _states(self) -> list[State]:
        groups = [self._variables(number) for number in range(len(self._models))]
        return [
            (_values(first), _values(second), _values(third)) for first, second, third in groups
        ]

    def _variables(
        self, number: int
    ) -> tuple[list[keras.Variable], list[keras.Variable], list[keras.Variable]]:
        model = self._models[number]
        return (
            model.trainable_variables,
            model.non_trainable_variables,
            self._optimizers[number].variables,
        )

    def _assign(self, number: int, state: State) -> None:
        for group, values in zip(self._variables(number), state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)

    def _epoch(
        self,
        images: jax.Array,
        labels: jax.Array,
        rows: jax.Array,
        sizes: jax.Array,
        state: State,
    ) -> tuple[State, jax.Array, jax.Array]:
        """One step for each of `rows` `[steps, n]`: new state, losses float32 `[steps]`, hits."""

        def take(
            state: State, row: tuple[jax.Array, jax.Array]
        ) -> tuple[State, tuple[jax.Array, jax.Array]]:
            numbers, size = row
            return self._step(images[numbers], labels[numbers], size, state)

        state, (losses, hits) = jax.lax.scan(take, state, (rows, sizes))
        return state, losses, hits.sum()

    def _step(
        self, images: jax.Array, labels: jax.Array, size: jax.Array, state: State
    ) -> tuple[State, tuple[jax.Array, jax.Array]]:
        """One step on the mean loss of the first `size` images; their summed loss, and hits."""
        trainable, other, moments = state

        def mean_loss(
            trainable: list[jax.Array],
        ) -> tuple[jax.Array, tuple[list[jax.Array], jax.Array, jax.Array]]:
            # Which of the models is called makes no difference: all that differs is handed in.
            logits, moved = self._models[0].stateless_call(trainable, other, images, training=True)
            loss, right = _scores(labels, logits, size)
            return loss / size, (moved, loss, right)

        gradients, (other, loss, right) = jax.grad(mean_loss, has_aux=True)(trainable)
        trainable, moments = self._optimizers[0].stateless_apply(moments, gradients, trainable)
        return (trainable, other, moments), (loss, right)


def _values(variables: Sequence[keras.Variable]) -> list[jax.Array]:
    return [variable.value for variable in variables]


def _scores(labels: jax.Array, logits: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sum of the cross-entropies of the first `size` images, and how many of them are right."""
    counts = jnp.arange(len(labels)) < size
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    losses = jax.nn.logsumexp(logits, axis=1) - own
    right = (jnp.argmax(logits, axis=1) == labels) & counts
    return jnp.where(counts, losses, 0.0).sum(), right.sum(dtype=jnp.int32)


def _in_rows(order: np.ndarray, size: int) -> np.ndarray:
    """`order` in rows of `size`, int32 `[steps, size]`; the last is filled up with noughts."""
    rows = np.zeros((-(-len(order) // size), size), np.int32)
    rows.flat[: len(order)] = order
    return rows


def _stacked(values: Sequence[np.ndarray] | Sequence[jax.Array]) -> np.ndarray | jax.Array:
    """With an axis for the models in front, where there are several."""
    if len(values) == 1:
        return values[0]
    return np.stack(values) if isinstance(values[0], np.ndarray) else jnp.stack(values)


def _unstacked(state: State, number: int, models: int) -> State:
    if models == 1:
        return state
    one: State = jax.tree.map(lambda value: value[number], state)
    return one
