"""Which settings the user has chosen: the others may be changed to fit the data."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Settings

SettingsT = TypeVar("SettingsT", bound=Settings)


def chosen(sweep: Sweep) -> set[str]:
    """Names of the settings of the network and of the training that were given.

    Those are all with which the sweep was built, unless `with_chosen` says otherwise.
    """
    return sweep.variant.model_fields_set | sweep.training.model_fields_set


def with_chosen(sweep: Sweep, names: Collection[str]) -> Sweep:
    """An equal sweep of whose settings only those of these names count as chosen."""
    return sweep.model_copy(
        update={
            "variant": _with_given(sweep.variant, names),
            "training": _with_given(sweep.training, names),
        }
    )


def _with_given(settings: SettingsT, names: Collection[str]) -> SettingsT:
    copy = settings.model_copy()
    copy.model_fields_set.intersection_update(names)  # pydantic returns the set itself
    return copy
