"""Register the model of a run, promote a run by hand, and find the champion."""

from __future__ import annotations

import functools
import os
import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from cnn_pipeline.base import events, links, metric_names
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.registry import (
    CHAMPION,
    Decision,
    ModelVersion,
    Promoter,
    registered_name,
)
from cnn_pipeline.network.load import check_content
from cnn_pipeline.services.lease import leased
from cnn_pipeline.services.named import API_VARIABLE, named_api
from cnn_pipeline.services.running import running
from cnn_pipeline.services.shared import SharedStore
from cnn_pipeline.services.temporary_prefect import is_temporary
from cnn_pipeline.settings.trial import DataSettings
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.champions import OWN_STORE, Journal
from cnn_pipeline.tracking.models import stored_model
from cnn_pipeline.tracking.reader import Reader
from cnn_pipeline.tracking.store import Store, open_store

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
    return registry_of(home, open_store(home, os.environ, create=create))


def registry_of(home: Home, store: Store) -> Promoter:
    """The registry in a store, with the lock and the journal of a home."""
    return Promoter(
        store,
        home.state / "registry.lock",
        journal_of(home, store),
        turn=functools.partial(_turn, home, store),
    )


def journal_of(home: Home, store: Store) -> Journal:
    """The journal of the champions of a store, kept in a home."""
    through_up = _through_up(home, store)
    if through_up and (shared := SharedStore.load(home)) is not None:
        return Journal.of(home, shared.database)  # also if the port is another one next time
    is_own = store.uri == home.database_uri or through_up
    return Journal.of(home, OWN_STORE if is_own else store.shown_uri)


def _through_up(home: Home, store: Store) -> bool:
    """Whether this is MLflow's server of the home's own `up`, as for the runs of its worker."""
    up = running(home)
    return up is not None and "mlflow" in up.services and store.uri == up.addresses.mlflow


def _turn(home: Home, store: Store, model: str) -> AbstractContextManager[object]:
    """What keeps other machines out of a registered model while it is changed.

    The lock of the home does for a file on this machine, and for the store of its own `up`.
    """
    if store.uri.startswith("sqlite:") or _through_up(home, store):
        return nullcontext()
    api = named_api(running(home))
    if api is None or is_temporary(api):
        _say_once(
            f"no Prefect server is named, so promotions on other machines are not kept out of "
            f"{store.shown_uri}: set {API_VARIABLE}, or promote on one machine at a time"
        )
        return nullcontext()
    return leased(api, model)


@functools.cache
def _say_once(text: str) -> None:
    events.emit(events.Stage(text))


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


@dataclass(frozen=True)
class Promotion:
    """A promotion by hand."""

    champion: ModelVersion
    decision: Decision | None
    """None if the version was champion already."""


def promote_run(run_id: str, why: str, home: Home) -> Promotion:
    """Make a run's model champion by hand: without the gate, but with a verified, known file.

    Raises:
        UserError: there is no such run, it has no model, or its file is damaged or holds unknown
            layers.
    """
    version = register_run(run_id, home)
    registry = open_registry(home)
    with tempfile.TemporaryDirectory() as folder:
        path = registry.model_file(version, Path(folder))
        check_content(path, f"the model of run {version.run_id}")
    current = registry.by_alias(version.name, CHAMPION)
    decision = registry.promote(version, why, expected=current.version if current else None)
    return Promotion(registry.version(version.name, version.version), decision)


def model_name(model: str | None, home: Home) -> str:
    """The registered model with this name; by default the only one, or that of Fashion-MNIST.

    Raises:
        UserError: there is no such model, or there are several and none was named.
    """
    registry = open_registry(home)
    known = registry.names()
    if model is None and len(known) == 1:
        return known[0]
    if model is None and (usual := registered_name(DataSettings().source)) in known:
        return usual
    if not known:
        for lost in registry.journal.entries() if registry.journal else ():
            registry.champion(lost.model)
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
    champion = open_registry(home).champion(name)
    if champion is None:
        raise UserError(
            f"{name} has no champion yet. `cnn-pipeline history` says why its versions were "
            "refused; `cnn-pipeline promote RUN --why TEXT` makes a run's model champion."
        )
    return champion
