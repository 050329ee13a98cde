"""What an engine does, and which one a device gets."""

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
"""Told, a few times a second, how many images of the epoch have been trained."""


class Engine(Protocol):
    """Trains and validates one model. Losses are mean cross-entropies in nats."""

    def epoch(self, split: Split, order: np.ndarray, told: OnImages) -> tuple[float, float]:
        """Train on all of `split` once, in this order; loss and accuracy while weights moved."""

    def evaluate(self, split: Split) -> tuple[float, float]:
        """Loss and accuracy on `split`, weights as they are."""


def engine_for(model: keras.Model, training: Training, device: Device) -> Engine:
    """The fastest measured engine for `model` (logits out) on `device`.

    On a processor with TensorFlow that is the graph, on a GPU with JAX the loop there. The others
    get Keras' `fit`: JAX's loop is slower on a processor, and TensorFlow has not been measured on
    a GPU.
    """
    place = (keras.backend.backend(), device.kind)
    if place == ("tensorflow", "cpu"):
        from cnn_pipeline.network.engines.graph import GraphEngine

        return GraphEngine(model, training, device.threads)
    if place == ("jax", "gpu"):
        from cnn_pipeline.network.engines.jax_loop import JaxEngine

        return JaxEngine(model, training)
    return KerasEngine(model, training)
