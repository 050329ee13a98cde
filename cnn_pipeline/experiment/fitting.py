"""Fit a sweep to small images and to few of them, in settings that the user did not choose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from cnn_pipeline.base import events
from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.experiment.data_card import DataShape
from cnn_pipeline.network.plan import Plan, plan_layers
from cnn_pipeline.settings.chosen import chosen
from cnn_pipeline.settings.command_line import flag_name
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Variant

_STEPS_PER_EPOCH = 8
"""At least, where a batch was larger than the data: one step an epoch would train nothing."""


@dataclass(frozen=True)
class VariantPlans:
    """What came of planning the variants of a sweep."""

    plans: dict[str, Plan]
    """By label."""
    refused: dict[Variant, tuple[str, ...]]
    """Faults of those in which the image shrinks away."""


def plan_variants(sweep: Sweep, shape: DataShape) -> VariantPlans:
    """Plan every variant of a sweep for its data."""
    found = VariantPlans({}, {})
    for trial in sweep.trials(sweep.first_seeds[:1]):
        try:
            plan = plan_layers(trial.variant, shape.image_shape, shape.num_classes)
        except InvalidInput as error:
            found.refused[trial.variant] = error.faults
        else:
            found.plans[trial.label] = plan
    return found


def fit_to_data(sweep: Sweep, shape: DataShape) -> tuple[Sweep, tuple[str, ...]]:
    """The sweep with another padding or batch size if the data need it, and sentences about it.

    What the user has chosen (`settings.chosen`) stays as it is, as do axes and variants that are
    listed one by one.
    """
    notes = []
    free = {"padding", "batch_size"} - chosen(sweep) - sweep.axes.given.keys()
    if "padding" in free and not sweep.entries and plan_variants(sweep, shape).refused:
        padded = _with_variant(sweep, padding="same")
        if not plan_variants(padded, shape).refused:
            sweep = padded
            height, width, _ = shape.image_shape
            notes.append(
                f"images of {height}x{width} are too small for these networks without padding, so "
                "all have --padding same"
            )
    batch = sweep.training.batch_size
    if "batch_size" in free and batch > shape.num_train > 0:
        size = 1 << (max(1, shape.num_train // _STEPS_PER_EPOCH).bit_length() - 1)
        training = sweep.training.model_copy(update={"batch_size": size})
        sweep = sweep.model_copy(update={"training": training})
        notes.append(
            f"a batch of {batch:,} is larger than the {shape.num_train:,} training images, so "
            f"batches have {size:,} (--batch-size {size})"
        )
    return sweep, tuple(notes)


def fit_and_tell(sweep: Sweep, shape: DataShape) -> tuple[Sweep, tuple[str, ...]]:
    """`fit_to_data`, and emit what was changed."""
    sweep, notes = fit_to_data(sweep, shape)
    tell(notes)
    return sweep, notes


def tell(notes: Iterable[str]) -> None:
    """Emit what was changed in the settings."""
    for note in notes:
        events.emit(events.SettingsFitted(note))


def smaller_network(variant: Variant, shape: DataShape) -> str:
    """A sentence with flags that make `variant` fit these images; empty if none was found."""
    fewer = [{"conv_layers": count} for count in range(variant.conv_layers - 1, 0, -1)]
    padded = {"padding": "same"}
    # The first that fits is offered, so what changes least stands first.
    changes: list[dict[str, Any]] = [
        padded,
        *fewer,
        *(padded | change for change in fewer),
        padded | {"pooling": "none"},
    ]
    for change in changes:
        try:
            plan_layers(variant.changed(**change), shape.image_shape, shape.num_classes)
        except (InvalidInput, ValidationError):
            continue
        height, width, _ = shape.image_shape
        flags = " ".join(f"{flag_name(name)} {spell(value)}" for name, value in change.items())
        return f" Images of {height}x{width} fit with {flags}."
    return ""


def _with_variant(sweep: Sweep, **fields: Any) -> Sweep:
    """The sweep with another base variant, and the baseline that it had."""
    at = sweep.labels.index(sweep.baseline_label)
    changed = sweep.model_copy(
        update={"variant": sweep.variant.changed(**fields), "baseline": None}
    )
    label = changed.labels[at]
    if changed.baseline_label == label:
        return changed
    return changed.model_copy(update={"baseline": label})
