"""A sweep: a grid or a list of variants, and the seeds that each is trained with."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from cnn_pipeline.base.metric_names import Metric
from cnn_pipeline.settings.recipe_names import recipe_name
from cnn_pipeline.settings.trial import (
    NAME_PATTERN,
    Activation,
    AugmentationKind,
    BatchSize,
    ClassWeights,
    ConvLayers,
    DataSettings,
    DenseUnits,
    Dropout,
    EmaMomentum,
    Epochs,
    Expectation,
    FiltersInput,
    KernelSize,
    Label,
    LearningRate,
    Optimizer,
    Padding,
    Patience,
    Pooling,
    PoolSize,
    Schedule,
    Seed,
    Settings,
    Training,
    Trial,
    Variant,
    WeightDecay,
    _AsTuple,
)


class Entry(Settings):
    """One variant of a sweep that lists its variants, with its own training settings."""

    variant: Variant = Variant()
    """The network."""
    label: Label | None = None
    """Name in tables; required if only the training differs from another entry."""
    training: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it
    """Fields of `Training` that override the sweep's."""
    hypothesis: Annotated[str, Field(max_length=500)] = ""
    """What is expected and why, in one line."""
    expect: Annotated[tuple[Expectation, ...], _AsTuple] = ()
    """The hypothesis as expectations that the comparison checks."""

    @field_validator("training")
    @classmethod
    def _check_training(cls, change: dict[str, Any]) -> dict[str, Any]:
        try:
            Training(**change)
        except ValidationError as error:
            raise ValueError(
                "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            ) from None
        return change

    @property
    def name(self) -> str:
        """The label, or the variant's own name."""
        return self.label or self.variant.name


class Axes(Settings):
    """A grid: each field lists the values that one field of `Variant` or `Training` takes."""

    filters: Annotated[tuple[FiltersInput, ...], _AsTuple] | None = None
    """Filter counts; a value may be a list with one number per layer."""
    conv_layers: Annotated[tuple[ConvLayers, ...], _AsTuple] | None = None
    """Numbers of convolution layers."""
    kernel_size: Annotated[tuple[KernelSize, ...], _AsTuple] | None = None
    """Kernel sizes."""
    pooling: Annotated[tuple[Pooling, ...], _AsTuple] | None = None
    """Kinds of downsampling."""
    pool_size: Annotated[tuple[PoolSize, ...], _AsTuple] | None = None
    """Sizes of the pooling window."""
    padding: Annotated[tuple[Padding, ...], _AsTuple] | None = None
    """Padding modes."""
    dense_units: Annotated[tuple[DenseUnits, ...], _AsTuple] | None = None
    """Units of the dense layer."""
    dropout: Annotated[tuple[Dropout, ...], _AsTuple] | None = None
    """Dropout rates."""
    batch_norm: Annotated[tuple[bool, ...], _AsTuple] | None = None
    """With and without batch normalisation."""
    activation: Annotated[tuple[Activation, ...], _AsTuple] | None = None
    """Activations."""
    learning_rate: Annotated[tuple[LearningRate, ...], _AsTuple] | None = None
    """Learning rates."""
    optimizer: Annotated[tuple[Optimizer, ...], _AsTuple] | None = None
    """Optimizers."""
    batch_size: Annotated[tuple[BatchSize, ...], _AsTuple] | None = None
    """Batch sizes."""
    epochs: Annotated[tuple[Epochs, ...], _AsTuple] | None = None
    """Numbers of epochs."""
    schedule: Annotated[tuple[Schedule, ...], _AsTuple] | None = None
    """Schedules of the learning rate."""
    ema_momentum: Annotated[tuple[EmaMomentum, ...], _AsTuple] | None = None
    """Momenta of the moving average of the weights."""
    weight_decay: Annotated[tuple[WeightDecay, ...], _AsTuple] | None = None
    """Weight decays."""
    augmentation: Annotated[tuple[AugmentationKind, ...], _AsTuple] | None = None
    """Random changes of the training images."""
    patience: Annotated[tuple[Patience, ...], _AsTuple] | None = None
    """Numbers of epochs to wait for a better one."""
    class_weights: Annotated[tuple[ClassWeights, ...], _AsTuple] | None = None
    """Weights of the classes in the loss."""

    @property
    def given(self) -> dict[str, tuple[Any, ...]]:
        """The axes that there are, and their values."""
        return {name: values for name, values in self.model_dump().items() if values is not None}


AUTO: Literal["auto"] = "auto"
"""Seeds are added in rounds, until the question is decided."""
ONLY_AUTO = ("decide", "max_rounds")
"""Fields that have a meaning for `AUTO` alone."""
UNEQUAL_CLASSES = 3
"""With metric 'auto', balanced accuracy counts where the largest class has more than this many
times the training images of the smallest."""
MAX_VARIANTS = 1000
"""Of one sweep."""
MIN_ROUNDS = 2
"""With one seed nothing is known of the spread between seeds."""


class Sweep(Settings):
    """A grid or a list of variants, each trained with the same seeds.

    `seeds` is a list, or 'auto': then 0, 1, 2, ... are added in rounds, one seed for each variant
    that may still be the best, until the answer is known within `decide` points.
    """

    name: Annotated[str, Field(pattern=NAME_PATTERN, max_length=40)] = "filters-and-pooling"
    """Name of the sweep; part of its id."""
    description: Annotated[str, Field(max_length=1000)] = ""
    """The question that the sweep answers, in a sentence."""
    variant: Variant = Variant()
    """Base variant: the settings that have no axis."""
    axes: Axes = Axes()
    """The grid; without axes and `entries` the sweep is the base variant alone."""
    entries: Annotated[tuple[Entry, ...], Field(max_length=MAX_VARIANTS), _AsTuple] = ()
    """Variants listed one by one, instead of a grid."""
    seeds: Annotated[
        Literal["auto"] | Annotated[tuple[Seed, ...], Field(min_length=1, max_length=1000)],
        _AsTuple,
    ] = AUTO
    """Each variant is trained once per seed; 'auto' adds seeds until the best one is known."""
    decide: Annotated[float, Field(gt=0, le=20)] = 1.0
    """Points of accuracy that matter: seeds 'auto' end when the best is known within them."""
    max_rounds: Annotated[int, Field(ge=MIN_ROUNDS, le=1000)] = 10
    """Most seeds that seeds 'auto' add."""
    metric: Literal["auto"] | Metric = AUTO
    """What chooses the variant and drives verdict and gate; 'auto': balanced accuracy where the
    largest class has over 3 times the images of the smallest, else accuracy."""
    training: Training = Training()
    """Settings shared by all variants, where they have no axis."""
    data: DataSettings = DataSettings()
    """Images and splits."""
    baseline: Label | None = None
    """Variant to compare the others with; default: the tutorial's network, else the first."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        axes = self.axes.given
        faults = [f"axes.{k} is empty: give at least one value" for k, v in axes.items() if not v]
        if axes and self.entries:
            faults.append("give axes (a grid) or entries (a list of variants), not both")
        if self.seeds != AUTO:
            faults += _repeated("seeds", self.seeds)
            given = [name for name in ONLY_AUTO if name in self.model_fields_set]
            faults += [f"{name} needs seeds 'auto', received a list of seeds" for name in given]
        count = math.prod(len(values) for values in axes.values())
        if count > MAX_VARIANTS:  # before they are built
            faults.append(f"axes: must give at most {MAX_VARIANTS} variants, received {count}")
        if not faults:
            faults += self._expansion_faults()
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @model_serializer(mode="wrap")
    def _without_unused(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is written can be read: a list of seeds leaves out what it has no use for.

        The metric is left out where the data decide: then sweeps of before it have the same hash.
        """
        fields: dict[str, Any] = handler(self)
        unused = ONLY_AUTO if self.seeds != AUTO else ()
        unused = (*unused, "metric") if self.metric == AUTO else unused
        return {name: value for name, value in fields.items() if name not in unused}

    def _expansion_faults(self) -> list[str]:
        faults = []
        trials = self.trials(self.first_seeds[:1])
        labels = list(dict.fromkeys(trial.label for trial in trials))
        seen: dict[tuple[Variant, Training, int], Trial] = {}
        for trial in trials:
            key = (trial.variant, trial.training.recipe, trial.seed)
            if key in seen:
                first = seen[key]
                faults.append(
                    f"variant {trial.label!r} is listed twice"
                    + (f" (also as {first.label!r})" if first.label != trial.label else "")
                    + _same_recipe(first.training, trial.training)
                    + "".join(
                        f"; {name} changes nothing without pooling"
                        for name in trial.variant.unused
                        if getattr(self.axes, name)
                    )
                )
            seen.setdefault(key, trial)
        names = Counter(trial.name for trial in trials)
        if not faults:
            faults += [
                f"name {name!r} is shared by {count} different trials; give them labels"
                for name, count in names.items()
                if count > 1
            ]
        if self.baseline is not None and self.baseline not in labels:
            faults.append(f"baseline must be one of {labels}, received {self.baseline!r}")
        faults += [
            f"{trial.label}: expect.against must be one of {labels}, received {item.against!r}"
            for trial in trials
            for item in trial.expect
            if item.against not in labels
        ]
        return list(dict.fromkeys(faults))

    def _entries(self) -> Iterator[Entry]:
        if self.entries:
            yield from self.entries
            return
        axes = self.axes.given
        if "conv_layers" in axes and "conv_layers" not in self.variant.in_use:
            raise ValueError(
                "conv_layers cannot be an axis while filters lists one number per layer"
            )
        for values in itertools.product(*axes.values()):
            chosen = dict(zip(axes, values, strict=True))
            training = {name: chosen.pop(name) for name in axes if name in Training.model_fields}
            variant = self.variant.changed(**chosen)
            # One value for all variants, as in `training`, tells none from another.
            told = {name: value for name, value in training.items() if len(axes[name]) > 1}
            label = recipe_name(variant, told) if told else None
            yield Entry(variant=variant, training=training, label=label)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """Every seed that may be trained, in the order of training."""
        if self.seeds != AUTO:
            return self.seeds
        several = next(itertools.islice(self._entries(), 1, None), None) is not None
        return tuple(range(self.max_rounds if several else 1))  # one variant decides nothing

    @property
    def first_seeds(self) -> tuple[int, ...]:
        """The seeds that are trained in any case."""
        return self.all_seeds if self.seeds != AUTO else self.all_seeds[:MIN_ROUNDS]

    @property
    def in_rounds(self) -> bool:
        """Whether seeds are added in rounds. One variant alone has none to be compared with."""
        return self.seeds == AUTO and len(self.all_seeds) > 1

    @property
    def measure(self) -> Metric:
        """The metric; of 'auto' accuracy, because `measured_on` replaces it where it is another."""
        return "accuracy" if self.metric == AUTO else self.metric

    def measured_on(self, class_counts: Iterable[int]) -> Sweep:
        """This sweep with the metric that 'auto' is on data with so many training images a class.

        Unchanged where that is accuracy, or a metric was asked for.
        """
        counts = [count for count in class_counts if count]
        if self.metric != AUTO or max(counts) <= UNEQUAL_CLASSES * min(counts):
            return self
        return self.model_copy(update={"metric": "balanced_accuracy"})

    @property
    def seeds_text(self) -> str:
        """'0, 1, 2', or 'auto, within 1 point, at most 10'."""
        if self.seeds != AUTO:
            return ", ".join(map(str, self.seeds))
        unit = "point" if self.decide == 1 else "points"
        return f"{AUTO}, within {self.decide:g} {unit}, at most {self.max_rounds}"

    def trials(self, seeds: Iterable[int] | None = None) -> tuple[Trial, ...]:
        """The trials of `seeds`, by default of `first_seeds`.

        Variants are in the order given, seeds outermost: an interrupted sweep then has whole seeds
        to compare.
        """
        shared = self.training.model_dump()
        entries = [(entry, _training(shared | entry.training)) for entry in self._entries()]
        return tuple(
            Trial(
                variant=entry.variant,
                training=training,
                seed=seed,
                label=entry.name,
                hypothesis=entry.hypothesis,
                expect=entry.expect,
            )
            for seed in (self.first_seeds if seeds is None else seeds)
            for entry, training in entries
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the variants, in order."""
        return tuple(trial.label for trial in self.trials(self.first_seeds[:1]))

    @property
    def baseline_label(self) -> str:
        """Label of the variant that the others are compared with."""
        if self.baseline is not None:
            return self.baseline
        for trial in self.trials():
            if trial.variant == Variant() and trial.training == self.training:
                return trial.label
        return self.labels[0]


def _training(fields: dict[str, Any]) -> Training:
    """Raises ValueError where valid fields do not fit together."""
    try:
        return Training(**fields)
    except ValidationError as error:
        raise ValueError("; ".join(item["msg"] for item in error.errors())) from None


def _same_recipe(first: Training, second: Training) -> str:
    """Why trainings with other settings are one recipe; empty if the settings are the same."""
    if first == second:
        return ""
    recipe = first.recipe
    decay = f"weight_decay {recipe.weight_decay:g}" if recipe.weight_decay else "no weight_decay"
    return f"; both train with optimizer {recipe.optimizer} and {decay}"


def _repeated(field: str, values: tuple[Any, ...]) -> list[str]:
    return [f"{field} lists {value} {n} times" for value, n in Counter(values).items() if n > 1]
