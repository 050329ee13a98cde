"""The model that answers now, and how it follows the alias."""

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
# A version that could not be loaded may be restored from a backup; so it is tried again.
RETRY_SECONDS = 30.0
# A load under way is waited for, since native code does not like to be cut off.
_END_SECONDS = 10.0


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A registered version, loaded and ready."""

    version: ModelVersion
    network: Any

    def predict(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 `[n, h, w, c]` to float32 `[n, classes]`, at most `MAX_BATCH` images a pass."""
        return np.concatenate(
            [
                self.network.predict_on_batch(pixels[start : start + MAX_BATCH])
                for start in range(0, len(pixels), MAX_BATCH)
            ]
        )


def load_live(registry: Registry, version: ModelVersion) -> LiveModel:
    """Copy, verify, load and warm up a version.

    Raises:
        UserError: its file is missing, damaged, or not the model that the registry describes.
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
    # Keras traces the first call, and once more for the second size; then sizes are free.
    for count in (1, 2, MAX_BATCH):
        rows = model.predict(np.zeros((count, *version.image_shape), np.uint8))
    if not np.isfinite(rows).all():
        raise UserError(f"{version.shown} must answer finite probabilities, received {rows[0]}")
    return model


class Follower:
    """Keeps `current` at the version that the alias 'champion' names.

    A new version is made ready beside the old one, which answers until then; one that cannot be
    made ready leaves the old one in place and becomes `problem`.
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
            UserError: there is none, or it cannot be loaded.
        """
        self._registry = registry
        self._name = name
        self._tell = tell
        self._poll_seconds = poll_seconds
        self._retry_seconds = retry_seconds
        self._failed: tuple[int, str] | None = None
        self._failed_at = 0.0
        self._problem = ""
        champion = registry.by_alias(name, CHAMPION)
        if champion is None:
            raise UserError(no_champion(registry, name))
        self._current = load_live(registry, champion)

    @property
    def current(self) -> LiveModel:
        """The model to answer with. Take it once per request."""
        return self._current

    @property
    def problem(self) -> str:
        """Why `current` may not be the champion; empty while it is."""
        return self._problem

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Look at the alias again and again, in a thread of its own."""
        over = threading.Event()

        def follow() -> None:
            while not over.wait(self._poll_seconds):
                self.look()

        # A daemon: a store that does not answer for a minute must not keep the process for one.
        thread = threading.Thread(target=follow, name="follower", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(_END_SECONDS)

    def look(self) -> None:
        """Compare the alias with `current` once, and follow it where it has moved."""
        try:
            champion = self._registry.by_alias(self._name, CHAMPION)
        except Exception as error:  # whatever the store's fault is, the old model still answers
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
        if problem and problem != self._problem:
            self._tell(f"still serving version {self._current.version.version}: {problem}")
        self._problem = problem


def no_champion(registry: Registry, name: str) -> str:
    """What to do where a registered model has no champion."""
    return (
        f"there is no champion of {name} in {registry.store.shown_uri} yet. Let `cnn-pipeline "
        "retrain` find one, name one with `cnn-pipeline promote RUN --why TEXT`, or give another "
        "registered model with --model NAME."
    )


def _key(version: ModelVersion) -> tuple[int, str]:
    return version.version, version.sha256


def _reason(error: Exception) -> str:
    """One line, without the statements and traces that a library's message drags along."""
    first = (str(error).strip().splitlines() or [""])[0]
    return first if isinstance(error, UserError) else f"{type(error).__name__}: {first}"
