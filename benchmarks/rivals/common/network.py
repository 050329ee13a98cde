"""The network that every alternative with Keras trains, and the order of its images."""

from __future__ import annotations

import keras
import tensorflow as tf
from numpy.typing import NDArray


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


def batches_in_new_order(
    images: NDArray, labels: NDArray, batch_size: int, seed: int
) -> tf.data.Dataset:
    """Batches of images and labels, in a new order in each epoch that follows from the seed.

    After `keras.utils.set_random_seed`, `fit(shuffle=True)` on arrays repeats one order in every
    epoch (docs/explanation/one-order.md).
    """
    all_images, all_labels = tf.constant(images), tf.constant(labels)
    return (
        tf.data.Dataset.range(len(labels))
        .shuffle(len(labels), seed=seed)
        .batch(batch_size)
        .map(lambda chosen: (tf.gather(all_images, chosen), tf.gather(all_labels, chosen)))
        .prefetch(tf.data.AUTOTUNE)
    )
