"""Register the model of a run, promote a run by hand, and find the champion."""

from __future__ import annotations

import os

from cnn_pipeline.base import links, metric_names
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.registry import (
    CHAMPION,
    Decision,
    ModelVersion,
    Promoter,
    registered_name,
)
from cnn_pipeline.settings.trial import DataSettings
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.models import stored_model
from cnn_pipeline.tracking.reader import Reader
from cnn_pipeline.tracking.store import open_store

# Tags of a run or its sweep that are copied to the registered version.
_LINEAGE = (
    names.SWEEP_ID,
    names.SWEEP_HASH,
    names.VARIANT,
    names.VARIANT_HASH,
    names.DATA_SOURCE,
    names.CLASS_COUNTS,
    names.CODE_DIGEST,
    names.GIT_COMMIT,
    names.GIT_DIRTY,
    names.FLOW_RUN_ID,
    names.FLOW_RUN_URL,
)


def open_registry(home: Home, *, create: bool = False) -> Promoter:
    """Open the registry in a home's store.

    Raises:
        StoreError: there is no store, or it does not answer.
    """
    return Promoter(open_store(home, os.environ, create=create), home.state / "registry.lock")


def register_run(run_id: str, home: Home) -> ModelVersion:
    """The registered version of a run's model, created with its lineage if it is missing."""
    registry = open_registry(home)
    reader = Reader(registry.store)
    stored = stored_model(registry.store, run_id)
    tags = reader.tags(run_id)
    lineage = {key: tags[key] for key in _LINEAGE if tags.get(key)}
    lineage[names.RUN_URL] = links.run_page(reader.experiment_of(run_id), run_id)
    accuracy = reader.metrics(run_id).get(metric_names.TEST_ACCURACY)
    if accuracy is not None:
        lineage[metric_names.TEST_ACCURACY] = repr(accuracy)
    return registry.register(stored, lineage)


def promote_run(run_id: str, why: str, home: Home) -> tuple[ModelVersion, Decision | None]:
    """Make a run's model champion by hand: without the gate, but with a verified file.

    Returns:
        The version, and the decision; None if it was champion already.

    Raises:
        UserError: there is no such run, it has no model, or its file is damaged.
    """
    version = register_run(run_id, home)
    registry = open_registry(home)
    registry.verify(version)
    current = registry.by_alias(version.name, CHAMPION)
    decision = registry.promote(version, why, expected=current.version if current else None)
    return registry.version(version.name, version.version), decision


def model_name(model: str | None, home: Home) -> str:
    """The registered model with this name; by default the only one, or that of Fashion-MNIST.

    Raises:
        UserError: there is no such model, or there are several and none was named.
    """
    known = open_registry(home).names()
    if model is None and len(known) == 1:
        return known[0]
    if model is None and (usual := registered_name(DataSettings().source)) in known:
        return usual
    if not known:
        raise UserError(
            "no model is registered yet. `cnn-pipeline retrain` trains and promotes the first; "
            "`cnn-pipeline promote RUN --why TEXT` promotes a trained one."
        )
    if model is None:
        raise UserError(f"--model: name one of {', '.join(known)}")
    if model not in known:
        raise UserError(f"--model: must be one of {', '.join(known)}, received {model!r}")
    return model


def champion_of(model: str | None, home: Home) -> ModelVersion:
    """The champion of a registered model; `model_name` chooses the default.

    Raises:
        UserError: there is no such model, or it has no champion.
    """
    name = model_name(model, home)
    champion = open_registry(home).by_alias(name, CHAMPION)
    if champion is None:
        raise UserError(
            f"{name} has no champion yet. `cnn-pipeline history` says why its versions were "
            "refused; `cnn-pipeline promote RUN --why TEXT` makes a run's model champion."
        )
    return champion
