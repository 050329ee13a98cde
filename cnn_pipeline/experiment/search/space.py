"""What a search may try: ranges and choices, and the variants that they make."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.experiment.data_card import DataShape
from cnn_pipeline.experiment.preflight import check_fit
from cnn_pipeline.settings.recipe_names import recipe_name
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.sweep import Entry, Sweep
from cnn_pipeline.settings.trial import Training, Variant

Kind = Literal["tpe", "random", "hyperband"]
MIN_TRIALS, MAX_TRIALS = 4, 1000
HYPERBAND_EPOCHS = 3
"""Hyperband prunes after a third of the epochs, so it needs at least so many."""
_LOG_FROM = 10
"""A range is searched on a logarithmic scale if its ends are apart by this factor."""


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`."""

    low: float
    high: float
    whole: bool
    """Whether only whole numbers."""

    @property
    def log(self) -> bool:
        """Whether it is searched on a logarithmic scale."""
        return self.low > 0 and self.high >= _LOG_FROM * self.low

    def rounded(self, value: float) -> float:
        """With three significant digits, so that a name and a command can hold it."""
        return value if self.whole else min(self.high, max(self.low, float(f"{value:.3g}")))

    def __str__(self) -> str:
        return f"{spell(self.low)}..{spell(self.high)}"


Axis = Range | tuple[Any, ...]
"""A range, or the values to choose from."""


@dataclass(frozen=True)
class Search:
    """How to search which settings."""

    kind: Kind
    trials: int
    """How many variants are tried."""
    seed: int
    """Of the choice of values and of each training of the search."""
    axes: Mapping[str, Axis]
    """By name of the setting."""

    @property
    def texts(self) -> dict[str, str]:
        """The axes as they are typed: '8..128', 'max,none'."""
        return {
            name: str(axis) if isinstance(axis, Range) else ",".join(map(spell, axis))
            for name, axis in self.axes.items()
        }

    def identity(self, at_once: int) -> str:
        """All that decides which variants are tried, beside the sweep. JSON."""
        content = {
            "kind": self.kind,
            "trials": self.trials,
            "seed": self.seed,
            "axes": self.texts,
            "at_once": at_once,
        }
        return json.dumps(content)

    @property
    def num_variants(self) -> float:
        """How many different variants there are; infinite if a range has no steps."""
        counts = [
            axis.high - axis.low + 1 if isinstance(axis, Range) else len(axis)
            for axis in self.axes.values()
        ]
        endless = any(isinstance(axis, Range) and not axis.whole for axis in self.axes.values())
        return math.inf if endless else math.prod(counts)


def entry_of(base: Sweep, values: Mapping[str, Any], epochs: int | None = None) -> Entry:
    """The variant that has these values, and else the settings of `base`.

    `epochs` replaces those of `base`; the name says so.

    Raises:
        ValueError: the values do not fit together.
    """
    training = {name: value for name, value in values.items() if name in Training.model_fields}
    if epochs is not None and epochs != base.training.epochs:
        training["epochs"] = epochs
    network = {name: value for name, value in values.items() if name in Variant.model_fields}
    variant = base.variant.changed(**network)
    return Entry(variant=variant, training=training, label=recipe_name(variant, training))


def fits(base: Sweep, shape: DataShape, values: Mapping[str, Any]) -> bool:
    """Whether the values fit together, and the network fits the data."""
    try:
        check_fit(_sweep_of(base, [entry_of(base, values)]), shape)
    except (ValueError, InvalidInput):
        return False
    return True


def space_faults(base: Sweep, search: Search, shape: DataShape) -> list[str]:
    """Ends of ranges, and choices, that do not fit `base` or the data, each tried alone."""
    faults: dict[str, None] = {}
    for values in _alone(search.axes):
        try:
            check_fit(_sweep_of(base, [entry_of(base, values)]), shape)
        except InvalidInput as error:
            faults |= dict.fromkeys(error.faults)
        except ValueError as error:
            faults[in_words(error)] = None
    return list(faults)


def _alone(axes: Mapping[str, Axis]) -> Iterator[dict[str, Any]]:
    for name, axis in axes.items():
        for value in (axis.low, axis.high) if isinstance(axis, Range) else axis:
            yield {name: value}


def _sweep_of(base: Sweep, entries: list[Entry]) -> Sweep:
    return searching(base, entries, seed=0)


def searching(base: Sweep, entries: list[Entry], seed: int) -> Sweep:
    """The sweep of the variants that a search has tried, with its one seed."""
    return Sweep(
        name=f"{base.name[:33]}-search",
        description=f"a search of settings, with seed {seed} alone",
        variant=base.variant,
        entries=tuple(entries),
        seeds=(seed,),
        metric=base.metric,
        training=base.training,
        data=base.data,
    )


def in_words(error: ValueError) -> str:
    """pydantic's messages without its frame."""
    found = getattr(error, "errors", None)
    if found is None:
        return str(error)
    return "; ".join(str(item["msg"]).removeprefix("Value error, ") for item in found())
