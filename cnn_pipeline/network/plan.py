"""Plan a network without building it: shapes, parameters, multiply-accumulates, receptive field.

Plain arithmetic, so `cnn-pipeline plan` answers at once, and an impossible network is refused
before training starts. A test compares it with the Keras model layer by layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.settings.trial import Training, Variant

# Fitted by non-negative least squares on relative errors to the trials of the default sweep and of
# one with 2,000 images: AMD EPYC without AVX-512, 2 cores, two trainers.
_SECONDS_PER_TRIAL = 3.3
_SECONDS_PER_IMAGE = 4.0e-5
_SECONDS_PER_MAC = 7.1e-11
# Processor time of an epoch with an augmentation minus one without, by value of an image: 2,000
# images of 28x28x1 of the sample, 4 filters, batches of 128, one thread of an AMD EPYC without
# AVX-512; the shortest of six epochs, the mean of two such runs, which differed by up to 3e-8.
_SECONDS_PER_AUGMENTED_VALUE = {"flip": 1.8e-8, "shift": 5.4e-8, "random-erase": 1.3e-8}

ACTIVATIONS = {
    "relu": "ReLU",
    "leaky_relu": "leaky ReLU",
    "gelu": "GELU",
    "silu": "SiLU",
    "tanh": "tanh",
}
"""Names of the activations in sentences."""

_POOL_LETTER = {"max": "P", "average": "A"}


@dataclass(frozen=True)
class LayerPlan:
    """One layer: the shape of its output and its cost for one image."""

    name: str
    """Name of the Keras layer."""
    kind: str
    """'convolution', 'batch-normalisation', 'pooling', 'flatten', 'dense' or 'dropout'."""
    output_shape: tuple[int, ...]
    """Without the batch axis: (height, width, channels) or (units,)."""
    params: int
    """Number of weights, trainable or not."""
    macs: int
    """Multiply-accumulates for one image, without biases, activation, pooling and normalisation."""
    receptive_field: int
    """Width in pixels of the input square that one output depends on; 0 for the whole input."""

    @property
    def shape_text(self) -> str:
        """'26x26x64'."""
        return "x".join(map(str, self.output_shape))


@dataclass(frozen=True)
class Plan:
    """All layers of a variant for an image shape and number of classes."""

    variant: Variant
    image_shape: tuple[int, int, int]
    classes: int
    layers: tuple[LayerPlan, ...]
    architecture: str
    """'28x28x1 > C64 3x3 > P2 > C64 3x3 > P2 > D128 > 10'."""

    @property
    def num_params(self) -> int:
        """Parameters of the whole network."""
        return sum(layer.params for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image's forward pass."""
        return sum(layer.macs for layer in self.layers)

    @property
    def journey(self) -> str:
        """'26x26x64 > 13x13x64 > 11x11x64 > 5x5x64 > 1600 > 128 > 10'."""
        return " > ".join(layer.shape_text for layer in self.layers if layer.kind != "dropout")


def plan_layers(variant: Variant, image_shape: tuple[int, int, int], classes: int) -> Plan:
    """Plan the layers of `variant` for images of (height, width, channels).

    Raises:
        InvalidInput: the image becomes too small for a layer.
    """
    layers: list[LayerPlan] = []
    words = ["x".join(map(str, image_shape))]
    height, width, channels = image_shape
    field, jump = 1, 1
    stride = variant.pool_size if variant.pooling == "strided" else 1
    kernel = variant.kernel_size
    # ReLU goes without saying.
    activation = "" if variant.activation == "relu" else f" {ACTIVATIONS[variant.activation]}"

    for number, filters in enumerate(variant.filters, start=1):
        before = (height, width)
        height, width = (_convolved(size, kernel, stride, variant.padding) for size in before)
        _require_pixels(
            variant, f"conv{number}", f"a {kernel}x{kernel} kernel", before, height, width
        )
        field, jump = field + (kernel - 1) * jump, jump * stride
        weights = kernel * kernel * channels * filters
        layers.append(
            LayerPlan(
                name=f"conv{number}",
                kind="convolution",
                output_shape=(height, width, filters),
                # Batch normalisation has an offset, so there is no bias.
                params=weights + (0 if variant.batch_norm else filters),
                macs=height * width * weights,
                receptive_field=field,
            )
        )
        words.append(
            f"C{filters} {kernel}x{kernel}" + (f"/{stride}" if stride > 1 else "") + activation
        )
        channels = filters
        if variant.batch_norm:
            shape = (height, width, channels)
            layers.append(
                LayerPlan(f"norm{number}", "batch-normalisation", shape, 4 * channels, 0, field)
            )
            words.append("BN")
        if variant.pooling in _POOL_LETTER:
            pool = variant.pool_size
            before = (height, width)
            height, width = (size // pool for size in before)
            _require_pixels(
                variant, f"pool{number}", f"a {pool}x{pool} window", before, height, width
            )
            field, jump = field + (pool - 1) * jump, jump * pool
            shape = (height, width, channels)
            layers.append(LayerPlan(f"pool{number}", "pooling", shape, 0, 0, field))
            words.append(f"{_POOL_LETTER[variant.pooling]}{pool}")

    features = height * width * channels
    layers.append(LayerPlan("flatten", "flatten", (features,), 0, 0, 0))
    units = variant.dense_units
    layers.append(_dense("dense", features, units))
    words.append(f"D{units}{activation}")
    if variant.dropout:
        layers.append(LayerPlan("dropout", "dropout", (units,), 0, 0, 0))
        words.append(f"drop {variant.dropout:g}")
    layers.append(_dense("probabilities", units, classes))
    words.append(str(classes))
    return Plan(variant, image_shape, classes, tuple(layers), " > ".join(words))


def estimate_seconds(plan: Plan, training: Training, num_train: int, num_test: int) -> float:
    """Expected seconds of one trial from its start to its logged model.

    Linear in the number of training images (times epochs) and in the multiply-accumulates of
    training and test images: scoring an image takes about as long as training on it. Validation
    images are ignored. A rough estimate: other processors differ by a factor.
    """
    trained = training.epochs * num_train
    computed = (trained + num_test) * plan.macs
    return (
        _SECONDS_PER_TRIAL
        + _SECONDS_PER_IMAGE * trained
        + _SECONDS_PER_MAC * computed
        + augmentation_seconds(plan, training, num_train)
    )


def augmentation_seconds(plan: Plan, training: Training, num_train: int) -> float:
    """Expected seconds of one trial that change its training images at random."""
    if training.augmentation == "none":
        return 0.0
    values = training.epochs * num_train * math.prod(plan.image_shape)
    steps = training.augmentation.split("+")
    return values * sum(_SECONDS_PER_AUGMENTED_VALUE[step] for step in steps)


def _convolved(size: int, kernel: int, stride: int, padding: str) -> int:
    covered = size if padding == "same" else size - kernel + 1
    return math.ceil(covered / stride)


def _dense(name: str, inputs: int, units: int) -> LayerPlan:
    return LayerPlan(name, "dense", (units,), inputs * units + units, inputs * units, 0)


def _require_pixels(
    variant: Variant, layer: str, needs: str, before: tuple[int, int], height: int, width: int
) -> None:
    if height >= 1 and width >= 1:
        return
    raise InvalidInput(
        [
            f"variant {variant.name}: the image is too small for {layer}: {needs} does not fit "
            f"into {before[0]}x{before[1]} pixels. Use fewer conv_layers, a smaller kernel_size or "
            "pool_size, padding 'same', or pooling 'none'."
        ]
    )
