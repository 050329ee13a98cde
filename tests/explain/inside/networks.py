"""Small networks to look into, with images for them."""

from __future__ import annotations

import keras
import numpy as np

from cnn_pipeline.network.build import build_model
from cnn_pipeline.settings.trial import Variant

SHAPE = (20, 16, 1)


RNG = np.random.default_rng(0)


IMAGES = RNG.integers(0, 256, (12, *SHAPE)).astype(np.uint8)


LABELS = np.arange(12) % 3


VARIANTS = [
    Variant(filters=4, dense_units=8),
    Variant(filters=(4, 3), pooling="average", batch_norm=True, dense_units=8),
    Variant(filters=4, pooling="none", padding="same", kernel_size=5, dense_units=8, dropout=0.5),
    Variant(filters=3, pooling="strided", padding="same", dense_units=8),
    Variant(filters=5, conv_layers=1, dense_units=8),
]


def network(variant: Variant) -> keras.Sequential:
    model = build_model(variant, SHAPE, 3, seed=1)
    # Statistics and offsets that are not 0 and 1, so that an order of layers can be wrong.
    model.set_weights([w + RNG.uniform(0.05, 0.3, w.shape) for w in model.get_weights()])
    return model
