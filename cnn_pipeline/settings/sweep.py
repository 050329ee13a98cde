"""A sweep: a grid or a list of variants, each trained once per seed."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from cnn_pipeline.settings.trial import (
    NAME_PATTERN,
    ConvLayers,
    DataSettings,
    DenseUnits,
    Dropout,
    Expectation,
    FiltersInput,
    KernelSize,
    Label,
    Padding,
    Pooling,
    PoolSize,
    Seed,
    Settings,
    Training,
    Trial,
    Variant,
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
    """A grid: each field lists the values that one field of `Variant` takes."""

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


class Sweep(Settings):
    """A grid or a list of variants, each trained once per seed."""

    name: Annotated[str, Field(pattern=NAME_PATTERN, max_length=40)] = "filters-and-pooling"
    """Name of the sweep; part of its id."""
    description: Annotated[str, Field(max_length=1000)] = ""
    """The question that the sweep answers, in a sentence."""
    variant: Variant = Variant()
    """Base variant: the settings that have no axis."""
    axes: Axes = Axes()
    """The grid; without axes and `entries` the sweep is the base variant alone."""
    entries: Annotated[tuple[Entry, ...], Field(max_length=1000), _AsTuple] = ()
    """Variants listed one by one, instead of a grid."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=1000), _AsTuple] = (0,)
    """Each variant is trained once per seed."""
    training: Training = Training()
    """Settings shared by all variants."""
    data: DataSettings = DataSettings()
    """Images and splits."""
    baseline: Label | None = None
    """Variant to compare the others with; default: the tutorial's network, else the first."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        axes = {k: v for k, v in self.axes.model_dump().items() if v is not None}
        faults = [f"axes.{k} is empty: give at least one value" for k, v in axes.items() if not v]
        if axes and self.entries:
            faults.append("give axes (a grid) or entries (a list of variants), not both")
        faults += _repeated("seeds", self.seeds)
        if not faults:
            faults += self._expansion_faults()
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _expansion_faults(self) -> list[str]:
        faults = []
        trials = self.trials()
        labels = list(dict.fromkeys(trial.label for trial in trials))
        seen: dict[tuple[Variant, Training, int], str] = {}
        for trial in trials:
            key = (trial.variant, trial.training, trial.seed)
            if key in seen:
                faults.append(
                    f"variant {trial.label!r} is listed twice"
                    + (f" (also as {seen[key]!r})" if seen[key] != trial.label else "")
                    + "".join(
                        f"; {name} changes nothing without pooling"
                        for name in trial.variant.unused
                        if getattr(self.axes, name)
                    )
                )
            seen.setdefault(key, trial.label)
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
        axes = {k: v for k, v in self.axes.model_dump().items() if v is not None}
        if "conv_layers" in axes and "conv_layers" not in self.variant.in_use:
            raise ValueError(
                "conv_layers cannot be an axis while filters lists one number per layer"
            )
        for values in itertools.product(*axes.values()):
            yield Entry(variant=self.variant.changed(**dict(zip(axes, values, strict=True))))

    def trials(self) -> tuple[Trial, ...]:
        """Every trial, variants in the order given, seeds outermost.

        An interrupted sweep then has whole seeds to compare.
        """
        shared = self.training.model_dump()
        entries = [(entry, Training(**{**shared, **entry.training})) for entry in self._entries()]
        return tuple(
            Trial(
                variant=entry.variant,
                training=training,
                seed=seed,
                label=entry.name,
                hypothesis=entry.hypothesis,
                expect=entry.expect,
            )
            for seed in self.seeds
            for entry, training in entries
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the variants, in order."""
        return tuple(dict.fromkeys(trial.label for trial in self.trials()))

    @property
    def baseline_label(self) -> str:
        """Label of the variant that the others are compared with."""
        if self.baseline is not None:
            return self.baseline
        for trial in self.trials():
            if trial.variant == Variant() and trial.training == self.training:
                return trial.label
        return self.labels[0]


def _repeated(field: str, values: tuple[Any, ...]) -> list[str]:
    return [f"{field} lists {value} {n} times" for value, n in Counter(values).items() if n > 1]
