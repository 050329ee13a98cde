"""The network that every alternative with Keras trains."""

from __future__ import annotations

import keras


def build_model(filters: int, pooling: str) -> keras.Model:
    """Two convolutions, each followed by max-pooling or nothing, and two dense layers; compiled."""
    layers = [keras.Input((28, 28, 1))]
    for _ in range(2):
        layers.append(keras.layers.Conv2D(filters, 3, activation="relu"))
        if pooling == "max":
            layers.append(keras.layers.MaxPooling2D(2))
    layers += [
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        # Keras advises float32 for a softmax where the rest is mixed_bfloat16.
        keras.layers.Dense(10, activation="softmax", dtype="float32"),
    ]
    model = keras.Sequential(layers)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
