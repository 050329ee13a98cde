"""The protocol of an engine, and the choice of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.data.dataset import Split
from cnn_pipeline.network.device import Device
from cnn_pipeline.network.engines.keras_fit import KerasEngine
from cnn_pipeline.network.history import Sums
from cnn_pipeline.settings.trial import Training

OnImages = Callable[[int, Sums | None], None]
"""Called a few times a second with the number of the epoch's images trained so far.

The sums are those with which the epoch can go on from here; None if this engine cannot.
"""


class Engine(Protocol):
    """Trains and evaluates one model. Losses are mean cross-entropies in nats.

    Weights of classes are in the losses of training, not in those of `evaluate`.
    """

    def epoch(
        self, split: Split, order: np.ndarray, told: OnImages, start: Sums | None = None
    ) -> tuple[float, float]:
        """Train on `split` once in this order; loss and accuracy while the weights changed.

        The model ends with its last weights. Its optimizer has their average, if there is one.
        `start` has the sums of the first steps if an earlier call has run them.
        """

    def evaluate(self, split: Split) -> tuple[float, float]:
        """Loss and accuracy on `split` with the present weights."""


def engine_for(
    model: keras.Model,
    training: Training,
    images: int,
    device: Device,
    weights: NDArray[np.float32] | None = None,
) -> Engine:
    """The fastest measured engine for `model`, which returns logits, and so many images.

    TensorFlow on a processor uses the graph, JAX on a GPU the loop. Everything else uses Keras'
    `fit`: JAX's loop is slower on a processor, and TensorFlow on a GPU was not measured.
    `weights` multiply the training losses of the images of each class, float32 `[k]`.
    """
    place = (keras.backend.backend(), device.kind)
    if place == ("tensorflow", "cpu"):
        from cnn_pipeline.network.engines.graph import GraphEngine

        return GraphEngine(model, training, images, device.threads, weights)
    if place == ("jax", "gpu"):
        from cnn_pipeline.network.engines.jax_loop import JaxEngine

        return JaxEngine(model, training, images, weights)
    return KerasEngine(model, training, images, weights)
