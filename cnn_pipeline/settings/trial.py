"""The settings of a trial: frozen, strict values, validated when they are built.

A `Variant` is a network, `Training` says how it is trained and `DataSettings` on which images. A
`Trial` is a variant, a training and a seed. This module imports no Keras, NumPy or MLflow, and
reads neither files nor the environment.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    PlainSerializer,
    model_validator,
)

from cnn_pipeline.base.metric_names import ExpectedMetric
from cnn_pipeline.settings.spelling import spell

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
# A variant's name may hold a decimal point: 'f64-max-lr0.003'.
LABEL_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,63}$"

Pooling = Literal["max", "average", "strided", "none"]
Padding = Literal["valid", "same"]
Optimizer = Literal["adam", "adamw", "rmsprop", "sgd"]
Schedule = Literal["constant", "cosine", "one-cycle"]
AugmentationKind = Literal["none", "flip", "shift", "flip+shift", "random-erase"]
Activation = Literal["relu", "leaky_relu", "gelu", "silu", "tanh"]
Precision = Literal["auto", "float32", "bfloat16"]
ClassWeights = Literal["none", "balanced"]
Direction = Literal["higher", "lower"]
Fit = Literal["pad", "crop", "stretch"]
Color = Literal["auto", "grey", "rgb"]

# JSON and TOML give lists, strict mode accepts only tuples.
_AsTuple = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)


def _image_size(text: str) -> str:
    if not re.fullmatch("[1-9][0-9]{0,3}x[1-9][0-9]{0,3}", text):
        raise ValueError(f"must be height x width in pixels, as 64x48, received {text!r}")
    return text


def _background(text: str) -> str:
    if not re.fullmatch("white|black|#[0-9a-f]{6}", text.lower()):
        raise ValueError(f"must be white, black or #rrggbb, as #ff8000, received {text!r}")
    return text.lower()


ImageSize = Annotated[str, AfterValidator(_image_size)]
Background = Annotated[str, AfterValidator(_background)]
FilterCount = Annotated[int, Field(ge=1, le=1024)]
FilterList = Annotated[tuple[FilterCount, ...], Field(min_length=1, max_length=6), _AsTuple]
FiltersInput = FilterCount | FilterList
Filters = Annotated[
    tuple[int, ...],
    # Accepts both forms, also in the JSON schema with which Prefect checks parameters.
    GetPydanticSchema(lambda _, handler: handler(FiltersInput)),
    PlainSerializer(lambda filters: filters[0] if len(set(filters)) == 1 else filters),
]
ConvLayers = Annotated[int, Field(ge=1, le=6)]
KernelSize = Annotated[int, Field(ge=1, le=15)]
PoolSize = Annotated[int, Field(ge=1, le=8)]
DenseUnits = Annotated[int, Field(ge=1, le=16_384)]
Dropout = Annotated[float, Field(ge=0.0, le=0.95)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]
BatchSize = Annotated[int, Field(ge=1, le=65_536)]
LearningRate = Annotated[float, Field(gt=0.0, le=10.0)]
EmaMomentum = Annotated[float, Field(ge=0.0, lt=1.0)]
Patience = Annotated[int, Field(ge=1, le=10_000)]
WeightDecay = Annotated[float, Field(ge=0.0, le=100.0)]
# A trial's name, a label and a seed, must match LABEL_PATTERN too.
MAX_LABEL = 48
Label = Annotated[str, Field(pattern=LABEL_PATTERN, max_length=MAX_LABEL)]


def _is_expression(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"must be a regular expression, received {text!r}: {error}") from None
    return text


_Expression = AfterValidator(_is_expression)


class Settings(BaseModel):
    """Base class of all settings: frozen and strict; unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    def content_hash(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical JSON."""
        canonical = json.dumps(self._hashed(), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def _hashed(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class Variant(Settings):
    """One network. The defaults are the tutorial's: two 3x3 layers of 64, 2x2 max-pooling."""

    filters: Filters = Field(default=64, validate_default=True)
    """Filters of each convolution: one number for all layers, or one per layer."""
    conv_layers: ConvLayers = 2
    """Number of convolution layers; the length of `filters` if that is a list."""
    kernel_size: KernelSize = 3
    """Height and width of each convolution's kernel, in pixels."""
    pooling: Pooling = "max"
    """How feature maps are downsampled: max or average pooling, strided convolutions, or not."""
    pool_size: PoolSize = 2
    """Side and stride of the pooling window, in pixels; stored as 1 if pooling is 'none'."""
    padding: Padding = "valid"
    """'valid' shrinks the feature map at each convolution, 'same' keeps its size."""
    dense_units: DenseUnits = 128
    """Units of the dense layer before the output layer."""
    dropout: Dropout = 0.0
    """Dropout rate after the dense layer; 0 is no dropout."""
    batch_norm: bool = False
    """Batch normalisation between each convolution and its activation."""
    activation: Activation = "relu"
    """Activation after each convolution and after the dense layer, as Keras defines it."""

    @model_validator(mode="after")
    def _canonical(self) -> Self:
        """Fill in what follows from other fields: equal networks must be equal values."""
        given: Any = self.filters  # as validated: one number, or one per layer
        if isinstance(given, int):
            self._set(filters=(given,) * self.conv_layers)
        elif "conv_layers" not in self.model_fields_set:
            self._set(conv_layers=len(given))
        elif len(given) != self.conv_layers:
            raise ValueError(
                f"filters gives one number per layer, so conv_layers must be {len(given)}; "
                f"received filters={list(given)}, conv_layers={self.conv_layers}. "
                "Leave conv_layers out, or give one number for all layers."
            )
        if self.pooling == "none":
            self._set(pool_size=1)
        elif self.pool_size == 1:
            raise ValueError(
                f"pool_size 1 pools nothing, received pooling={self.pooling!r}. "
                "Use pooling='none', or a pool_size of 2 or more."
            )
        return self

    def _hashed(self) -> dict[str, Any]:
        """Names hold the hash, so those of networks with ReLU stay as they were without choice."""
        fields = super()._hashed()
        if self.activation == "relu":
            del fields["activation"]
        return fields

    def _set(self, **fields: Any) -> None:
        self.__dict__.update(fields)  # the model is frozen

    def changed(self, **fields: Any) -> Variant:
        """A copy with other values for some settings; settings that depend on them follow."""
        kept = self.model_dump(exclude=self.unused)
        if isinstance(fields.get("filters"), tuple):
            del kept["conv_layers"]
        return Variant(**{**kept, **fields})

    @property
    def unused(self) -> set[str]:
        """Settings that change nothing in this network."""
        return unused_settings(vars(self))

    @property
    def in_use(self) -> dict[str, Any]:
        """The settings that describe this network, as they are stored.

        Leaves out the unused ones, and `conv_layers` where `filters` gives one number per layer.
        """
        follows = set() if len(set(self.filters)) == 1 else {"conv_layers"}
        return self.model_dump(exclude=self.unused | follows)

    @property
    def name(self) -> str:
        """Short, sortable name like 'f64-max', with only what differs from the defaults."""
        base = Variant().in_use
        changed = {k: v for k, v in self.in_use.items() if v != base[k]}
        parts = [f"f{spell(self.filters)}", self.pooling]
        if "conv_layers" in changed:
            parts.append(f"c{self.conv_layers}")
        if "kernel_size" in changed:
            parts.append(f"k{self.kernel_size}")
        if "pool_size" in changed:
            parts.append(f"p{self.pool_size}")
        if "padding" in changed:
            parts.append(self.padding)
        if "dense_units" in changed:
            parts.append(f"d{self.dense_units}")
        if self.dropout:
            parts.append("do" + f"{self.dropout:.6f}".rstrip("0").partition(".")[2])
        if self.batch_norm:
            parts.append("bn")
        if "activation" in changed:
            parts.append(self.activation)
        return shortened("-".join(parts), self.content_hash())


def shortened(name: str, digest: str) -> str:
    """The name as a label: if too much differs, a hash stands for the rest."""
    if len(name) <= MAX_LABEL:
        return name
    kept = name[: MAX_LABEL - 9].rstrip("-.")
    return f"{kept}-{digest[:8]}"


def unused_settings(fields: Mapping[str, object]) -> set[str]:
    """Settings that change nothing in a network with these fields of `Variant`.

    There is no pooling window without pooling. `fields` may be values or their spelling, and may
    be incomplete, as the params of a stored run are.
    """
    return {"pool_size"} if fields.get("pooling") == "none" else set()


ADAMW_DECAY = 0.004
"""Weight decay of Keras' AdamW where none is set."""


class Training(Settings):
    """How a network is trained."""

    epochs: Epochs = 5
    """Passes over the training images."""
    batch_size: BatchSize = 128
    """Images per training step."""
    optimizer: Optimizer = "adam"
    """Keras optimizer, with its default arguments except for the learning rate."""
    learning_rate: LearningRate = 0.001
    """Learning rate, the highest one of a schedule; the default is that of Keras' Adam."""
    schedule: Schedule = "constant"
    """The same rate in all steps, half a cosine to 0, or one cycle: up for 30 %, then to 0."""
    weight_decay: WeightDecay | None = None
    """Share of each weight that a step takes off, times the learning rate; none: as in Keras."""
    augmentation: AugmentationKind = "none"
    """Random changes of the training images: left-right flips, shifts by 10 %, erased squares."""
    ema_momentum: EmaMomentum = 0.0
    """Momentum of the moving average of the weights that is scored and kept; 0 keeps the last."""
    precision: Precision = "auto"
    """Precision of the training steps; auto uses bfloat16 if the device is fast at it."""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads per trainer; 0 divides all cores among the trainers."""
    stop_at_accuracy: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Stop after the first epoch with a training accuracy above this, from 0 to 1."""
    patience: Patience | None = None
    """Stop after so many epochs without a better validation accuracy; keep the best's weights."""
    class_weights: ClassWeights = "none"
    """Weights of the classes in the loss; 'balanced' lets each count the same, however rare."""

    @model_validator(mode="after")
    def _decays(self) -> Self:
        if self.weight_decay is not None and self.weight_decay * self.learning_rate >= 1:
            raise ValueError(
                "weight_decay must be less than 1 / learning_rate, or a step takes off each weight "
                f"more than it is, received weight_decay={self.weight_decay:g}, "
                f"learning_rate={self.learning_rate:g}"
            )
        return self

    @property
    def recipe(self) -> Training:
        """The same training in one spelling: Adam with a weight decay is AdamW, in Keras too."""
        decay = self.weight_decay
        if decay is None and self.optimizer == "adamw":
            decay = ADAMW_DECAY
        optimizer = self.optimizer
        if optimizer in ("adam", "adamw"):
            optimizer = "adamw" if decay else "adam"
        return self.model_copy(update={"optimizer": optimizer, "weight_decay": decay or None})


class DataSettings(Settings):
    """Which images, how they are split, and how pictures of any kind become images of one size."""

    source: Annotated[str, Field(min_length=1, max_length=4096)] = "fashion-mnist"
    """'fashion-mnist', 'fashion-mnist-sample', or the path to your own data."""
    validation_size: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Images held out of training, stratified, to choose the variant; default 5000 or a sixth."""
    train_limit: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """Train on a stratified subset of this many images."""
    split_seed: Seed = 0
    """Seed of the split and of the subset."""
    test_share: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Share of your own images to test on, stratified, if they have no test images; default 0.2."""
    group_by: Annotated[str, Field(min_length=1, max_length=1000), _Expression] | None = None
    """Regular expression that finds a group in file names; the images of a group stay together."""
    name: Annotated[str, Field(pattern=NAME_PATTERN, max_length=MAX_LABEL)] | None = None
    """Name of your own data, and so of its experiment; default that of the file or folder."""

    @property
    def of_own_data(self) -> dict[str, object]:
        """The settings that only own data have, as far as they are set."""
        fields = {"test_share": self.test_share, "group_by": self.group_by, "name": self.name}
        return {field: value for field, value in fields.items() if value is not None}

    image_size: ImageSize | None = None
    """Height and width of the images, as 64x48; default: the common one, else the median."""
    fit: Fit = "pad"
    """How a picture of another size gets it: with bars, cut to the middle, or stretched."""
    color: Color = "auto"
    """Channels of the images; auto is rgb if any picture is in colour."""
    background: Background = "white"
    """What is put under transparent pixels and around padded pictures: white, black or #rrggbb."""

    def num_validation(self, num_images: int, num_classes: int) -> int:
        """Number of validation images, out of `num_images` training images of `num_classes`.

        `validation_size` if it is set. By default 5,000; a sixth of fewer than 30,000 images, but
        at least one per class.
        """
        if self.validation_size is not None:
            return self.validation_size
        return min(5000, max(num_images // 6, num_classes))


class Expectation(Settings):
    """An expected result, stated before the run and checked by the comparison."""

    metric: ExpectedMetric
    """Metric that is expected to change."""
    direction: Direction
    """Expected direction of the change."""
    against: Label
    """Name of the variant to compare with."""


class Trial(Settings):
    """One network, one training, one seed: what one MLflow run records."""

    variant: Variant
    training: Training
    seed: Seed
    label: Label
    hypothesis: str = ""
    expect: Annotated[tuple[Expectation, ...], _AsTuple] = ()

    @property
    def name(self) -> str:
        """'f64-max-s0'."""
        return f"{self.label}-s{self.seed}"
