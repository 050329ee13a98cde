"""Check the models in use for `cnn-pipeline doctor`: each must be the registered file."""

from __future__ import annotations

from collections.abc import Mapping

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home
from cnn_pipeline.champion.register import registry_of
from cnn_pipeline.champion.registry import CHAMPION, PREVIOUS, Promoter
from cnn_pipeline.services.doctor.finding import Finding, fail, ok, warn
from cnn_pipeline.tracking.store import Store


def check_champions(home: Home, environ: Mapping[str, str]) -> list[Finding]:
    """Verify the file of each champion, and of the one before it, by its SHA-256.

    The store is not opened as other commands do, because that may change it.
    """
    uri = environ.get(TRACKING_VARIABLE, "").strip()
    if not uri and not home.database.exists():
        return []
    store = Store(uri, None) if uri else Store(home.database_uri, home.artifacts_uri)
    try:
        registry = registry_of(home, store)
        known = {entry.model for entry in registry.journal.entries()} if registry.journal else set()
        models = sorted({*registry.names(), *known})
    except UserError as error:
        return [_failed(error)]
    return [finding for model in models for finding in _check(registry, model)]


def _check(registry: Promoter, model: str) -> list[Finding]:
    found = []
    try:
        champion = registry.champion(model)
        if champion is not None:
            registry.verify(champion)
            found.append(ok("champion", f"{champion.shown} is verified"))
    except UserError as error:
        return [_failed(error)]
    last = registry.journal.last(model) if registry.journal else None
    if champion is not None and last is not None and last.sha256 != champion.sha256:
        found.append(
            warn(
                "champion",
                f"{champion.shown} has the alias {CHAMPION!r}, but {last.text}",
                "nothing, if you have restored an older backup or moved the alias in MLflow; "
                "cnn-pipeline history shows the decisions",
            )
        )
    try:
        previous = registry.by_alias(model, PREVIOUS)
        if previous is not None:
            registry.verify(previous)
    except UserError as error:
        found.append(_failed(error))
    return found


def _failed(error: UserError) -> Finding:
    message, _, remedy = str(error).rstrip(".").partition(". ")
    return fail("champion", message, remedy[:1].lower() + remedy[1:])
