"""The settings of a trial: frozen, strict values, validated when they are built.

A `Variant` is a network, `Training` says how it is trained and `DataSettings` on which images. A
`Trial` is a variant, a training and a seed. This module imports no Keras, NumPy or MLflow, and
reads neither files nor the environment.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
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

Pooling = Literal["max", "average", "strided", "none"]
Padding = Literal["valid", "same"]
Optimizer = Literal["adam", "adamw", "rmsprop", "sgd"]
Precision = Literal["auto", "float32", "bfloat16"]
Direction = Literal["higher", "lower"]

# JSON and TOML give lists, strict mode accepts only tuples.
_AsTuple = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)

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
# A trial's name, a label and a seed, must match NAME_PATTERN too.
MAX_LABEL = 48
Label = Annotated[str, Field(pattern=NAME_PATTERN, max_length=MAX_LABEL)]


class Settings(BaseModel):
    """Base class of all settings: frozen and strict; unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    def content_hash(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical JSON."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


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
    """Batch normalisation between each convolution and its ReLU."""

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
        name = "-".join(parts)
        if len(name) <= MAX_LABEL:
            return name
        # If too much differs, a hash stands for the rest.
        kept = name[: MAX_LABEL - 9].rstrip("-")
        return f"{kept}-{self.content_hash()[:8]}"


def unused_settings(fields: Mapping[str, object]) -> set[str]:
    """Settings that change nothing in a network with these fields of `Variant`.

    There is no pooling window without pooling. `fields` may be values or their spelling, and may
    be incomplete, as the params of a stored run are.
    """
    return {"pool_size"} if fields.get("pooling") == "none" else set()


class Training(Settings):
    """How a network is trained."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 5
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 128
    """Images per training step."""
    optimizer: Optimizer = "adam"
    """Keras optimizer, with its default arguments except for the learning rate."""
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = 0.001
    """Learning rate; the default is that of Keras' Adam."""
    precision: Precision = "auto"
    """Precision of the training steps; auto uses bfloat16 if the device is fast at it."""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads per trainer; 0 divides all cores among the trainers."""
    stop_at_accuracy: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Stop after the first epoch with a training accuracy above this, from 0 to 1."""


class DataSettings(Settings):
    """Which images, and how they are split."""

    source: Annotated[str, Field(min_length=1, max_length=4096)] = "fashion-mnist"
    """'fashion-mnist', 'fashion-mnist-sample', or the path to your own data."""
    validation_size: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Images held out of training, stratified, to choose the variant; default 5000 or a sixth."""
    train_limit: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """Train on a stratified subset of this many images."""
    split_seed: Seed = 0
    """Seed of the split and of the subset."""

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
