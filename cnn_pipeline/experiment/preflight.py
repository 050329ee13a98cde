"""Check that a sweep fits its data, before any server, device or download is used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.machine import backend_faults
from cnn_pipeline.experiment.data_card import DataCard, DataShape, prepare_data
from cnn_pipeline.experiment.fitting import fit_to_data, plan_variants, smaller_network
from cnn_pipeline.network.plan import Plan
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings


@dataclass(frozen=True)
class Preflight:
    """A sweep that fits its data."""

    sweep: Sweep
    """The sweep, with settings that fit its data."""
    shape: DataShape
    plans: dict[str, Plan]
    """By label of the variant."""
    card: DataCard | None = None
    """Card of own data, which had to be read; None for a named data set."""
    notes: tuple[str, ...] = ()
    """What was changed to fit the data, in sentences."""


def check_sweep(sweep: Sweep, cache: Path) -> Preflight:
    """Check a sweep against its data. Own data are read; a named data set is not fetched.

    Args:
        sweep: the sweep as it was asked for; what the user has not chosen may be changed to fit
            the data (`fit_to_data`).
        cache: folder of verified downloads and of prepared pictures.

    Raises:
        InvalidInput: with every fault of the settings, the stacks, the user's own files, and
            Keras' backend.
    """
    shape, faults = _known_shape(sweep.data)
    faults = [*backend_faults(), *faults]
    card = None
    if shape is None:
        if faults:  # own pictures may take minutes
            raise InvalidInput(faults)
        card = prepare_data(sweep.data, cache)
        shape = card.shape
    try:
        fitted, plans, notes = fit(sweep, shape)
    except InvalidInput as error:
        raise InvalidInput([*faults, *error.faults]) from None
    if faults:
        raise InvalidInput(faults)
    return Preflight(fitted, shape, plans, card, notes)


def fit(sweep: Sweep, shape: DataShape) -> tuple[Sweep, dict[str, Plan], tuple[str, ...]]:
    """The sweep, changed if the data need it; the plan of every variant; and what was changed.

    Raises:
        InvalidInput: as `check_fit`, of the changed sweep.
    """
    try:
        return sweep, check_fit(sweep, shape), ()
    except InvalidInput:
        fitted, notes = fit_to_data(sweep, shape)
    return fitted, check_fit(fitted, shape), notes


def check_fit(sweep: Sweep, shape: DataShape) -> dict[str, Plan]:
    """The plan of every variant, by label.

    Raises:
        InvalidInput: with every batch larger than the training images, and every stack in which
            the image shrinks away.
    """
    # If no training image is left, the split is wrong, and that is reported already.
    faults = [
        f"batch_size must be at most {shape.num_train:,}, the number of training images, received "
        f"{trial.training.batch_size:,}"
        for trial in sweep.trials()
        if trial.training.batch_size > shape.num_train > 0
    ]
    found = plan_variants(sweep, shape)
    for variant, refused in found.refused.items():
        remedy = smaller_network(variant, shape)
        faults += [f"{fault}{remedy}" for fault in refused]
    if faults:
        raise InvalidInput(list(dict.fromkeys(faults)))
    return found.plans


def _known_shape(settings: DataSettings) -> tuple[DataShape | None, list[str]]:
    """The shape of a named data set, None for a path; and the faults of its split."""
    from cnn_pipeline.data.catalog import CATALOGS
    from cnn_pipeline.data.preparation import catalog_faults
    from cnn_pipeline.data.splits import check_settings, not_own_faults

    catalog = CATALOGS.get(settings.source)
    if catalog is None:
        return None, []
    classes = len(catalog.class_names)
    left = catalog.train_size - settings.num_validation(catalog.train_size, classes)
    shape = DataShape(
        image_shape=(28, 28, 1),  # every catalog is in MNIST's form
        num_classes=classes,
        num_train=min(left, settings.train_limit or left),
        num_test=catalog.test_size,
    )
    faults = check_settings(settings, catalog.train_size, classes)
    return shape, [*faults, *catalog_faults(settings), *not_own_faults(settings)]
