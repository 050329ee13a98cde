"""The protocol of an engine, and the choice of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import keras
import numpy as np

from cnn_pipeline.data.dataset import Split
from cnn_pipeline.network.device import Device
from cnn_pipeline.network.engines.keras_fit import KerasEngine
from cnn_pipeline.settings.trial import Training

OnImages = Callable[[int], None]
"""Called a few times a second with the number of the epoch's images trained so far."""


class Engine(Protocol):
    """Trains and evaluates one model. Losses are mean cross-entropies in nats."""

    def epoch(self, split: Split, order: np.ndarray, told: OnImages) -> tuple[float, float]:
        """Train on `split` once in this order; loss and accuracy while the weights changed."""

    def evaluate(self, split: Split) -> tuple[float, float]:
        """Loss and accuracy on `split` with the present weights."""


def engine_for(model: keras.Model, training: Training, device: Device) -> Engine:
    """The fastest measured engine for `model`, which returns logits, on `device`.

    TensorFlow on a processor uses the graph, JAX on a GPU the loop. Everything else uses Keras'
    `fit`: JAX's loop is slower on a processor, and TensorFlow on a GPU was not measured.
    """
    place = (keras.backend.backend(), device.kind)
    if place == ("tensorflow", "cpu"):
        from cnn_pipeline.network.engines.graph import GraphEngine

        return GraphEngine(model, training, device.threads)
    if place == ("jax", "gpu"):
        from cnn_pipeline.network.engines.jax_loop import JaxEngine

        return JaxEngine(model, training)
    return KerasEngine(model, training)
