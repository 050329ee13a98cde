"""Changing the registry: the only code that makes versions and moves aliases.

MLflow sets an alias without looking at what it was, so a change happens under a lock that the
kernel frees, and begins with one record of all that it will do. A change that was killed is
carried out to its end by the next one: every step can be done again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow.exceptions import MlflowException

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.champion.registry.reader import Registry
from cnn_pipeline.champion.registry.version import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    Action,
    Decision,
    ModelVersion,
    registered_name,
)
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.models import StoredModel
from cnn_pipeline.tracking.store import Store, StoreError
from cnn_pipeline.tracking.undocumented import as_default

KEPT_DECISIONS = 500
MAX_WHY = 2000
_LOCK_SECONDS = 60

Step = Callable[[int], None]


class ChampionChanged(UserError):
    """Another promotion came between the comparison with the champion and this one."""

    exit_code = 1


class Promoter(Registry):
    """Registers challengers, promotes, rolls back, and keeps the history.

    `lock` is a file beside the store; promoters of one store must share it. `on_step` is called
    with the number of each step before it is done, for tests that kill the process there.
    """

    def __init__(self, store: Store, lock: Path, *, on_step: Step | None = None) -> None:
        super().__init__(store)
        self._lock_file = lock
        self._on_step = on_step or (lambda number: None)

    def register(self, stored: StoredModel, tags: Mapping[str, str]) -> ModelVersion:
        """Make the run's model a version and give it the alias 'challenger'.

        A model that is registered already keeps its version, so this can be done again.
        """
        name = registered_name(stored.dataset)
        with self._changing(name):
            version = self._version_of(name, stored) or self._create(name, stored, tags)
            if CHAMPION not in version.aliases:
                self._client.set_registered_model_alias(name, CHALLENGER, str(version.version))
        return self.version(name, version.version)

    def promote(
        self,
        version: ModelVersion,
        why: str,
        *,
        expected: int | None,
        tags: Mapping[str, str] | None = None,
    ) -> Decision | None:
        """Make a version champion; the champion until now becomes 'previous'.

        Args:
            version: a version that was loaded, or whose file is verified by `model_file`.
            why: the reason, for the history.
            expected: number of the champion that the version was compared with, None where there
                was none.
            tags: what the version shall carry from now on.

        Returns:
            The decision; None where the version is champion already.

        Raises:
            ChampionChanged: the champion is no longer the expected one; nothing was changed.
        """
        with self._changing(version.name):
            current = self.by_alias(version.name, CHAMPION)
            number = current.version if current else None
            if number == version.version:
                return None
            if number != expected:
                raise ChampionChanged(
                    f"{version.shown} was compared with champion version {expected}, but version "
                    f"{number} is champion now. Nothing was changed; start again."
                )
            return self._decide(
                "promote", version, why, champion=current, after=version.version, tags=tags
            )

    def refuse(
        self, version: ModelVersion, why: str, tags: Mapping[str, str] | None = None
    ) -> Decision:
        """Keep the champion, and say in the history why the version did not replace it."""
        with self._changing(version.name):
            current = self.by_alias(version.name, CHAMPION)
            after = current.version if current else None
            return self._decide("refuse", version, why, champion=current, after=after, tags=tags)

    def rollback(self, name: str, why: str) -> Decision:
        """Make the previous champion champion again; the two change places.

        Raises:
            UserError: there is no previous champion, or its file is damaged.
        """
        with self._changing(name):
            current, previous = self.by_alias(name, CHAMPION), self.by_alias(name, PREVIOUS)
            if current is None or previous is None:
                there = f"version {current.version} is the first" if current else "there is none"
                raise UserError(
                    f"a rollback of {name} needs a champion before the present one; {there}. "
                    "`cnn-pipeline history` shows the decisions, and `cnn-pipeline promote RUN "
                    "--why TEXT` makes any run's model champion."
                )
            self.verify(previous)
            return self._decide("rollback", previous, why, champion=current, after=previous.version)

    def verify(self, version: ModelVersion) -> None:
        """Compare a version's file with its recorded SHA-256.

        Raises:
            UserError: it is missing or damaged.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.model_file(version, Path(folder))

    def settle(self, name: str) -> Decision | None:
        """Carry out a change that was killed half-way; returns it, None where there is none."""
        pending = self.model_tags(name).get(names.PENDING_DECISION)
        if pending is None:
            return None
        with self._locked():
            return self._settle(name)

    @contextlib.contextmanager
    def _changing(self, name: str) -> Iterator[None]:
        with self._locked():
            self._settle(name)
            yield

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._lock_file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock_file, timeout=_LOCK_SECONDS)
        try:
            acquired = lock.acquire()
        except Timeout:
            raise StoreError(
                f"another process has been changing the registry for {_LOCK_SECONDS} s "
                f"({self._lock_file} is locked). Wait for it, or end it."
            ) from None
        with acquired:
            yield

    def _decide(
        self,
        action: Action,
        version: ModelVersion,
        why: str,
        *,
        champion: ModelVersion | None,
        after: int | None,
        tags: Mapping[str, str] | None = None,
    ) -> Decision:
        before = champion.version if champion else None
        previous = self.by_alias(version.name, PREVIOUS)
        kept = previous.version if previous else None
        history = self.history(version.name)
        decision = Decision(
            number=history[-1].number + 1 if history else 1,
            action=action,
            version=version.version,
            champion_before=before,
            champion_after=after,
            why=why[:MAX_WHY],
            at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            flow_run_id=(tags or {}).get(names.FLOW_RUN_ID, ""),
            previous_after=kept if action == "refuse" else before,
            version_tags={**(tags or {}), names.DECISION: action, names.WHY: why[:MAX_WHY]},
        )
        self._on_step(1)
        self._client.set_registered_model_tag(
            version.name, names.PENDING_DECISION, decision.to_json()
        )
        self._carry_out(version.name, decision)
        return decision

    def _settle(self, name: str) -> Decision | None:
        text = self.model_tags(name).get(names.PENDING_DECISION)
        if text is None:
            return None
        decision = Decision.from_json(text)
        current = self.by_alias(name, CHAMPION)
        number = current.version if current else None
        if number not in (decision.champion_before, decision.champion_after):
            # Somebody moved the alias by hand since: that is the later word.
            self._client.delete_registered_model_tag(name, names.PENDING_DECISION)
            return None
        self._carry_out(name, decision)
        return decision

    def _carry_out(self, name: str, decision: Decision) -> None:
        client = self._client
        number = str(decision.version)
        self._on_step(2)
        for key, value in decision.version_tags.items():
            client.set_model_version_tag(name, number, key, value)
        self._on_step(3)
        if decision.previous_after is not None:
            client.set_registered_model_alias(name, PREVIOUS, str(decision.previous_after))
        self._on_step(4)
        if decision.champion_after is not None:
            client.set_registered_model_alias(name, CHAMPION, str(decision.champion_after))
        self._on_step(5)
        if decision.action != "refuse":
            challenger = self.by_alias(name, CHALLENGER)
            if challenger is not None and challenger.version == decision.champion_after:
                client.delete_registered_model_alias(name, CHALLENGER)
        self._on_step(6)
        # The version's tags say the same, and are not written a second time.
        record = dataclasses.replace(decision, version_tags={})
        key = f"{names.DECISION_PREFIX}{decision.number:06d}"
        client.set_registered_model_tag(name, key, record.to_json())
        self._forget_oldest(name)
        self._on_step(7)
        champion = self.by_alias(name, CHAMPION)
        received = champion.version if champion else None
        if received != decision.champion_after:
            raise StoreError(
                f"after the change version {decision.champion_after} of {name} must be champion, "
                f"received version {received}: something else moves the alias. "
                "Look at `cnn-pipeline history`, then start again."
            )
        self._on_step(8)
        client.delete_registered_model_tag(name, names.PENDING_DECISION)

    def _forget_oldest(self, name: str) -> None:
        keys = sorted(k for k in self.model_tags(name) if k.startswith(names.DECISION_PREFIX))
        for key in keys[:-KEPT_DECISIONS]:
            self._client.delete_registered_model_tag(name, key)

    def _version_of(self, name: str, stored: StoredModel) -> ModelVersion | None:
        found = [v for v in self.versions(name) if v.model_id == stored.model_id]
        return found[-1] if found else None

    def _create(self, name: str, stored: StoredModel, tags: Mapping[str, str]) -> ModelVersion:
        with contextlib.suppress(MlflowException):  # it is there already
            self._client.create_registered_model(
                name, description=f"Networks for {stored.dataset}; 'champion' is the one in use."
            )
        all_tags = {
            **tags,
            names.RUN_NAME: stored.run_name,
            names.MODEL_ID: stored.model_id,
            names.MODEL_SHA256: stored.sha256,
            names.DATASET: stored.dataset,
            names.DATA_DIGEST: stored.data_digest,
            names.CLASS_NAMES: json.dumps(stored.class_names),
            names.IMAGE_SHAPE: "x".join(map(str, stored.image_shape)),
        }
        # MLflow looks the model up in the process's default store, whatever this client's is.
        with as_default(self.store.uri):
            created = self._client.create_model_version(
                name,
                f"models:/{stored.model_id}",
                run_id=stored.run_id,
                model_id=stored.model_id,
                tags=all_tags,
            )
        return self.version(name, int(created.version))
