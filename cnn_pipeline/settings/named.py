"""The named sweeps, and `resolve`, which also reads sweeps from TOML files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cnn_pipeline.base.errors import InvalidInput, did_you_mean
from cnn_pipeline.base.metric_names import ExpectedMetric
from cnn_pipeline.settings.chosen import with_chosen
from cnn_pipeline.settings.files import load_sweep_file
from cnn_pipeline.settings.sweep import Axes, Entry, Sweep
from cnn_pipeline.settings.trial import DataSettings, Direction, Expectation, Training, Variant


def filters_and_pooling() -> Sweep:
    """Filters 16, 32 and 64, each with and without max-pooling: the default sweep."""
    return Sweep(
        name="filters-and-pooling",
        description="How many filters does the network need, and what does max-pooling buy?",
        axes=Axes(filters=(16, 32, 64), pooling=("max", "none")),
    )


def pooling() -> Sweep:
    """Max-pooling, average pooling, strided convolutions, and no pooling."""
    return Sweep(
        name="pooling",
        description="Max-pooling, average pooling, a strided convolution, or none: which is best?",
        axes=Axes(pooling=("max", "average", "none", "strided")),
    )


def smoke() -> Sweep:
    """Two tiny networks, one epoch on a few hundred images: checks in seconds that all works."""
    return Sweep(
        name="smoke",
        description="Does everything work? Two tiny networks on a few hundred images.",
        axes=Axes(filters=(4, 8)),
        seeds=(0,),
        training=Training(epochs=1, batch_size=64),
        data=DataSettings(source="fashion-mnist-sample", validation_size=500, train_limit=512),
    )


def retrain() -> Sweep:
    """The tutorial's network: what the weekly retraining trains by default, and the champion's."""
    return Sweep(
        name="retrain",
        description="Is there a better model than the champion? The tutorial's network.",
    )


def course_exercises() -> Sweep:
    """The tutorial's questions, each with a hypothesis and expectations to check.

    1. Try 16, 32 or 64 filters.
    2. Drop the last convolution.
    3. Add a third one.
    4. Keep only the first.
    5. Stop when the training accuracy passes a threshold.

    With two convolutions, dropping the last one and keeping only the first one give the same
    network. It is trained once, as 'f64-max-c1', and its hypothesis names both questions.
    The tutorial's threshold is meant for many epochs; 0.90 is reached within five.
    """
    base = "f64-max"
    return Sweep(
        name="course-exercises",
        description="The tutorial's questions: what do filters, depth and early stopping change?",
        seeds=(0, 1, 2),  # the expectations are about every variant, not only about the best
        entries=(
            Entry(hypothesis="The tutorial's network: what the others are compared with."),
            Entry(
                variant=Variant(filters=(32, 32)),
                hypothesis="Half the filters: faster, and a little less accurate.",
                expect=_expected(base, train_seconds="lower", test_accuracy="lower", macs="lower"),
            ),
            Entry(
                variant=Variant(filters=(16, 16)),
                hypothesis="A quarter of the filters: faster still, and less accurate.",
                expect=_expected(base, train_seconds="lower", test_accuracy="lower", macs="lower"),
            ),
            Entry(
                variant=Variant(conv_layers=1),
                hypothesis=(
                    "Last convolution dropped, which is also only the first one kept: faster, as "
                    "the second does most of the arithmetic; more parameters, as the dense layer "
                    "sees 13x13x64 features instead of 5x5x64; less accurate."
                ),
                expect=_expected(
                    base,
                    train_seconds="lower",
                    macs="lower",
                    num_params="higher",
                    test_accuracy="lower",
                ),
            ),
            Entry(
                variant=Variant(conv_layers=3),
                hypothesis=(
                    "A third convolution leaves a map of 1x1x64: fewer parameters, but where "
                    "things are in the image is lost, so it is less accurate."
                ),
                expect=_expected(base, num_params="lower", test_accuracy="lower"),
            ),
            Entry(
                label="f64-max-stop90",
                training={"stop_at_accuracy": 0.90},
                hypothesis=(
                    "Stopped once the training accuracy passes 0.90: shorter, and a little less "
                    "accurate than five epochs."
                ),
                expect=_expected(base, train_seconds="lower", test_accuracy="lower"),
            ),
        ),
        baseline=base,
    )


def _expected(against: str, **directions: Direction) -> tuple[Expectation, ...]:
    metrics: dict[ExpectedMetric, Direction] = directions  # type: ignore[assignment]
    return tuple(
        Expectation(metric=metric, direction=direction, against=against)
        for metric, direction in metrics.items()
    )


DEFAULT = "filters-and-pooling"

NAMED: Mapping[str, Callable[[], Sweep]] = MappingProxyType(
    {
        DEFAULT: filters_and_pooling,
        "pooling": pooling,
        "course-exercises": course_exercises,
        "smoke": smoke,
        "retrain": retrain,
    }
)
"""Functions by sweep name, the default first."""


RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "tutorial": MappingProxyType({"ema_momentum": 0.0}),
        # Measured in docs/how-to/several-seeds.md.
        "steady": MappingProxyType({"ema_momentum": 0.99}),
    }
)
"""Fields of `Training` by the name of a recipe, the default first."""


def resolve(name_or_path: str) -> Sweep:
    """Return the sweep of that name, or read it from a TOML file.

    Of a named sweep the user has chosen no setting, of a file those that stand in it.

    Raises:
        InvalidInput: no such name or file, or the file has faults.
    """
    if name_or_path in NAMED:
        return with_chosen(NAMED[name_or_path](), ())
    if path := sweep_file(name_or_path):
        return load_sweep_file(path)
    raise InvalidInput(
        [
            f"unknown sweep {name_or_path!r}{did_you_mean(name_or_path, NAMED) or '.'} "
            f"Named sweeps are {', '.join(NAMED)}; a sweep of your own is the path of a .toml file."
        ]
    )


def sweep_file(name_or_path: str) -> Path | None:
    """The TOML file that is meant; None if it is the name of a sweep."""
    looks_like_path = name_or_path.endswith(".toml") or "/" in name_or_path
    if looks_like_path or os.sep in name_or_path or Path(name_or_path).is_file():
        return None if name_or_path in NAMED else Path(name_or_path)
    return None
