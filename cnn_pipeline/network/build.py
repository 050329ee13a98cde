"""Build the Keras model of a variant, and a twin that computes the same and trains faster.

The model has the layers that the user asked for, in float32 and with softmax at the end. It is
evaluated and logged; its twin is trained. Only Keras 3 is called here, no backend.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from cnn_pipeline.network.augmentation import Augmentation
from cnn_pipeline.network.convolution import Conv2D
from cnn_pipeline.network.plan import ACTIVATIONS, plan_layers
from cnn_pipeline.settings.trial import Variant

_IMAGES = "channels_last"  # also where the user's process has imported Keras first, with keras.json
# Never falling, so they commute with the largest of some numbers.
_MONOTONE = ("relu", "leaky_relu")
_POOLING = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}
_KINDS = {
    keras.layers.Conv2D: "convolution {k}x{k}, {a}",
    keras.layers.BatchNormalization: "batch normalisation",
    keras.layers.ReLU: "{a}",
    keras.layers.Activation: "{a}",
    keras.layers.MaxPooling2D: "max-pooling {p}x{p}",
    keras.layers.AveragePooling2D: "average-pooling {p}x{p}",
    keras.layers.Flatten: "flatten",
    keras.layers.Dense: "dense",
}


def build_model(
    variant: Variant, image_shape: tuple[int, int, int], classes: int, *, seed: int
) -> keras.Sequential:
    """The network of `variant` with new random float32 weights.

    Input: uint8 `[n, height, width, channels]`, 0 to 255. The model scales pixels itself, so
    training and serving cannot differ. Output: float32 `[n, classes]`, probabilities. The same
    variant and seed give the same weights in every process.

    Raises:
        InvalidInput: the image becomes too small for a layer.
    """
    plan_layers(variant, image_shape, classes)
    keras.utils.set_random_seed(seed)
    layers = _layers(variant, image_shape, classes, dtype="float32", twin=False)
    return keras.Sequential(layers, name=variant.name.replace("-", "_"))


def build_twin(
    model: keras.Sequential,
    variant: Variant,
    *,
    precision: str,
    seed: int,
    augmentation: str = "none",
) -> keras.Sequential:
    """A network with the weights of `model` that computes the same function and trains faster.

    Four things differ:

    - layers compute in `precision`: 'float32', or 'bfloat16' with float32 weights;
    - convolutions use faster arithmetic if there is one (`convolution`);
    - max-pooling comes before ReLU: the two commute, and ReLU then gets a quarter of the numbers.
      GELU, SiLU and tanh keep their place;
    - the output is logits, because softmax and cross-entropy in one operation are stable.

    With `augmentation`, a first layer changes the images in training.

    Output: float32 `[n, classes]`, logits. Copy the weights back with `model.set_weights`.
    """
    keras.utils.set_random_seed(seed)
    dtype = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    image_shape, classes = model.input_shape[1:], model.output_shape[-1]
    layers = _layers(variant, image_shape, classes, dtype=dtype, twin=True)
    if augmentation != "none":
        layers.insert(1, Augmentation(augmentation, seed=seed))  # after the input
    twin = keras.Sequential(layers)
    twin.set_weights(model.get_weights())
    return twin


def layer_outputs(
    model: keras.Sequential, variant: Variant, images: np.ndarray
) -> list[tuple[str, str, np.ndarray]]:
    """Outputs of the layers for uint8 `images` `[n, h, w, c]`: (name, kind, output `[n, ...]`).

    The first entry is the images. Rescaling and dropout are left out, because they change nothing
    visible. The kind says what the layer does, as 'convolution 3x3, ReLU'.
    """
    shown = [layer for layer in model.layers if layer.name not in ("rescale", "dropout")]
    taps = keras.Model(model.inputs[0], [layer.output for layer in shown])
    outputs = taps(images, training=False)
    steps = [("image", "input", images)]
    for layer, values in zip(shown, outputs, strict=True):
        name = ACTIVATIONS[variant.activation]
        kind = _KINDS[type(layer)].format(k=variant.kernel_size, p=variant.pool_size, a=name)
        if isinstance(layer, keras.layers.Conv2D) and variant.batch_norm:
            kind = kind.removesuffix(f", {name}")
        steps.append((layer.name, kind, keras.ops.convert_to_numpy(values)))
    return steps


def _layers(
    variant: Variant, image_shape: tuple[int, int, int], classes: int, *, dtype: str, twin: bool
) -> list[keras.layers.Layer]:
    layers: list[keras.layers.Layer] = [
        keras.layers.Input(image_shape, dtype="uint8", name="image"),
        keras.layers.Rescaling(1 / 255, dtype=dtype, name="rescale"),
    ]
    for number, filters in enumerate(variant.filters, start=1):
        layers += _convolution(variant, number, filters, dtype=dtype, twin=twin)
    layers.append(keras.layers.Flatten(data_format=_IMAGES, dtype=dtype, name="flatten"))
    layers.append(
        keras.layers.Dense(
            variant.dense_units, activation=variant.activation, dtype=dtype, name="dense"
        )
    )
    if variant.dropout:
        layers.append(keras.layers.Dropout(variant.dropout, dtype=dtype, name="dropout"))
    # float32: rounded logits would round the loss.
    last = "logits" if twin else "probabilities"
    activation = None if twin else "softmax"
    layers.append(keras.layers.Dense(classes, activation=activation, dtype="float32", name=last))
    return layers


def _convolution(
    variant: Variant, number: int, filters: int, *, dtype: str, twin: bool
) -> list[keras.layers.Layer]:
    settings: dict[str, Any] = {
        "filters": filters,
        "kernel_size": variant.kernel_size,
        "strides": variant.pool_size if variant.pooling == "strided" else 1,
        "padding": variant.padding,
        "data_format": _IMAGES,
        "activation": None if variant.batch_norm else variant.activation,
        "use_bias": not variant.batch_norm,
        "dtype": dtype,
        "name": f"conv{number}",
    }
    pooling = _POOLING.get(variant.pooling)
    pool = (
        [pooling(variant.pool_size, data_format=_IMAGES, dtype=dtype, name=f"pool{number}")]
        if pooling
        else []
    )
    pool_first = twin and variant.pooling == "max" and variant.activation in _MONOTONE
    if twin:
        if pool_first and not variant.batch_norm:
            settings["max_pooling"], pool = variant.pool_size, []
        convolution = Conv2D(**settings, inputs_are_data=number == 1)
    else:
        convolution = keras.layers.Conv2D(**settings)
    if not variant.batch_norm:
        return [convolution, *pool]
    norm = keras.layers.BatchNormalization(dtype=dtype, name=f"norm{number}")
    last = _activation(variant.activation, number, dtype=dtype)
    return [convolution, norm, *pool, last] if pool_first else [convolution, norm, last, *pool]


def _activation(kind: str, number: int, *, dtype: str) -> keras.layers.Layer:
    name = f"{kind}{number}"
    if kind == "relu":
        return keras.layers.ReLU(dtype=dtype, name=name)
    return keras.layers.Activation(kind, dtype=dtype, name=name)
