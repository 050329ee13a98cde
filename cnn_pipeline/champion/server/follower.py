"""Keep the served model at the version that has the alias 'champion'."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.champion.registry import CHAMPION, ModelVersion, Registry
from cnn_pipeline.champion.server.batching import MAX_BATCH
from cnn_pipeline.network.load import load_verified

POLL_SECONDS = 2.0
# A version that could not be loaded is tried again: it may be restored from a backup.
RETRY_SECONDS = 30.0
# From the end's begin. Wait for a load in progress: native code must not be interrupted.
_END_SECONDS = 9.0


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A registered version, loaded and warmed up."""

    version: ModelVersion
    network: Any

    def predict(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 `[n, h, w, c]` to float32 `[n, classes]`, at most `MAX_BATCH` images at a time."""
        return np.concatenate(
            [
                self.network.predict_on_batch(pixels[start : start + MAX_BATCH])
                for start in range(0, len(pixels), MAX_BATCH)
            ]
        )


def load_live(registry: Registry, version: ModelVersion) -> LiveModel:
    """Copy, verify, load and warm up a version.

    Raises:
        UserError: its file is missing or damaged, or its shapes are not those in the registry.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = registry.model_file(version, Path(folder))
        network = load_verified(path, version.sha256, f"the model {version.shown}")
    described = (None, *version.image_shape), (None, len(version.class_names))
    received = tuple(network.input_shape), tuple(network.output_shape)
    if received != described:
        raise UserError(
            f"{version.shown} must map {described[0]} to {described[1]}, as its tags say, "
            f"received a model from {received[0]} to {received[1]}"
        )
    model = LiveModel(version, network)
    # Keras traces the first call and the first other size; after that any size is fast.
    for count in (1, 2, MAX_BATCH):
        rows = model.predict(np.zeros((count, *version.image_shape), np.uint8))
    if not np.isfinite(rows).all():
        raise UserError(f"{version.shown} must answer finite probabilities, received {rows[0]}")
    return model


class Follower:
    """Keeps `current` at the version with the alias 'champion'.

    The old version answers until the new one is loaded. If the new one cannot be loaded, the old
    one stays, and `problem` says why.
    """

    def __init__(
        self,
        registry: Registry,
        name: str,
        tell: Callable[[str], None],
        *,
        poll_seconds: float = POLL_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        """Load the champion.

        Raises:
            UserError: there is no champion, or it cannot be loaded.
        """
        self._registry = registry
        self._name = name
        self._tell = tell
        self._poll_seconds = poll_seconds
        self._retry_seconds = retry_seconds
        self._failed: tuple[int, str] | None = None
        self._failed_at = 0.0
        self._problem = ""
        self._over = threading.Event()
        self._end_at = 0.0
        champion = registry.champion(name)
        if champion is None:
            raise UserError(no_champion(registry, name))
        self._current = load_live(registry, champion)

    @property
    def current(self) -> LiveModel:
        """The model that answers. Read it once per request."""
        return self._current

    @property
    def problem(self) -> str:
        """Why `current` may not be the champion; empty if it is."""
        return self._problem

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Check the alias every `poll_seconds` in a thread."""

        def follow() -> None:
            while not self._over.wait(self._poll_seconds):
                self.look()

        # A daemon, so that a store that does not answer does not delay the end of the process.
        thread = threading.Thread(target=follow, name="follower", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.end()
            thread.join(max(0.0, self._end_at - time.monotonic()))

    def end(self) -> None:
        """Load no other version from now on."""
        if not self._over.is_set():
            self._end_at = time.monotonic() + _END_SECONDS
            self._over.set()

    def look(self) -> None:
        """Check the alias once, and load its version if it has changed."""
        try:
            champion = self._registry.by_alias(self._name, CHAMPION)
        except Exception as error:  # whatever the error, the old model still answers
            self._set_problem(f"the registry does not answer: {_reason(error)}")
            return
        if champion is None:
            self._set_problem(f"{self._name} has no alias {CHAMPION!r} any more")
            return
        if _key(champion) == _key(self._current.version):
            self._set_problem("")
            return
        waited = time.monotonic() - self._failed_at
        if _key(champion) == self._failed and waited < self._retry_seconds:
            return
        try:
            model = load_live(self._registry, champion)
        except Exception as error:
            self._failed, self._failed_at = _key(champion), time.monotonic()
            self._set_problem(f"{champion.shown} cannot be served: {_reason(error)}")
            return
        before, self._current = self._current.version, model
        self._set_problem("")
        self._tell(f"now serving version {champion.version} (was {before.version})")

    def _set_problem(self, problem: str) -> None:
        before, self._problem = self._problem, problem  # before it is told: who reads it may look
        if problem and problem != before:
            self._tell(f"still serving version {self._current.version.version}: {problem}")


def no_champion(registry: Registry, name: str) -> str:
    """Error message for a registered model without a champion."""
    return (
        f"there is no champion of {name} in {registry.store.shown_uri} yet. Let `cnn-pipeline "
        "retrain` find one, name one with `cnn-pipeline promote RUN --why TEXT`, or give another "
        "registered model with --model NAME."
    )


def _key(version: ModelVersion) -> tuple[int, str]:
    return version.version, version.sha256


def _reason(error: Exception) -> str:
    """The first line: libraries append SQL statements and traces."""
    first = (str(error).strip().splitlines() or [""])[0]
    return first if isinstance(error, UserError) else f"{type(error).__name__}: {first}"
