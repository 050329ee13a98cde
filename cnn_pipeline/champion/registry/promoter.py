"""Change the registry: the only code that creates versions and moves aliases.

MLflow sets an alias whatever it was before. So each change holds a file lock, which the kernel
releases if the process dies, and starts by writing a record of all its steps. If it is killed, the
next change completes it: every step can be repeated. Where other homes write to the same store,
`turn` keeps them out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow.exceptions import MlflowException

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.files import make_private
from cnn_pipeline.champion.registry.reader import Registry
from cnn_pipeline.champion.registry.shown import description, hidden, written_tags
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
from cnn_pipeline.tracking.champions import Entry, Journal
from cnn_pipeline.tracking.models import StoredModel
from cnn_pipeline.tracking.store import Store, StoreError
from cnn_pipeline.tracking.undocumented import as_default

KEPT_DECISIONS = 500
MAX_WHY = 2000
# Its holder may wait three minutes for its turn among other homes.
_LOCK_SECONDS = 240

Step = Callable[[int], None]
Turn = Callable[[str], AbstractContextManager[object]]


class ChampionChanged(UserError):
    """The champion changed between the comparison with it and this promotion."""

    exit_code = 1


class Promoter(Registry):
    """Registers challengers, promotes, rolls back, and writes the history.

    `lock` is a file that all promoters of a home share. `turn` is called with the name of a
    registered model and keeps the promoters of other homes out of it. `on_step` is called with the
    number of each step before it is done, for tests that kill the process there.
    """

    def __init__(
        self,
        store: Store,
        lock: Path,
        journal: Journal | None = None,
        *,
        turn: Turn = contextlib.nullcontext,
        on_step: Step | None = None,
    ) -> None:
        super().__init__(store, journal)
        self._lock_file = lock
        self._turn = turn
        self._on_step = on_step or (lambda number: None)

    def register(self, stored: StoredModel, tags: Mapping[str, str]) -> ModelVersion:
        """Register a run's model as a version with the alias 'challenger'.

        A registered model keeps its version, so this can be repeated.
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
        """Make a version champion. The champion so far gets the alias 'previous'.

        Args:
            version: a version whose file was verified (`verify`, `model_file`).
            why: the reason, for the history.
            expected: number of the champion that the version was compared with; None if there was
                none.
            tags: tags to set on the version.

        Returns:
            The decision; None if the version is champion already.

        Raises:
            ChampionChanged: the champion is no longer the expected one; nothing was changed.
        """
        with self._changing(version.name):
            current = self.by_alias(version.name, CHAMPION)
            number = current.version if current else None
            if number == version.version:
                return None
            self._require_opponent(version, number, expected)
            return self._decide(
                "promote", version, why, champion=current, after=version.version, tags=tags
            )

    def refuse(
        self,
        version: ModelVersion,
        why: str,
        *,
        expected: int | None,
        tags: Mapping[str, str] | None = None,
    ) -> Decision:
        """Keep the champion, and record in the history why the version was refused.

        Arguments and errors are those of `promote`.
        """
        with self._changing(version.name):
            current = self.by_alias(version.name, CHAMPION)
            after = current.version if current else None
            self._require_opponent(version, after, expected)
            return self._decide("refuse", version, why, champion=current, after=after, tags=tags)

    @staticmethod
    def _require_opponent(
        version: ModelVersion, received: int | None, expected: int | None
    ) -> None:
        if received != expected:
            raise ChampionChanged(
                f"{version.shown} was compared with champion version {expected}, but version "
                f"{received} is champion now. Nothing was changed; start again."
            )

    def rollback(self, name: str, why: str) -> Decision:
        """Make the previous champion champion again and swap the two aliases.

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
        """Verify the SHA-256 of a version's file.

        Raises:
            UserError: it is missing or damaged.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.model_file(version, Path(folder))

    def settle(self, name: str) -> Decision | None:
        """Complete a change that was killed; returns its decision, or None if there is none.

        A champion that is not in the journal is written into it.
        """
        pending = self.model_tags(name).get(names.PENDING_DECISION)
        champion = self.by_alias(name, CHAMPION)
        if pending is None and (champion is None or self._is_remembered(champion)):
            return None
        with self._locked(name):
            settled = self._settle(name)
            self._remember(self.by_alias(name, CHAMPION))
            return settled

    @contextlib.contextmanager
    def _changing(self, name: str) -> Iterator[None]:
        with self._locked(name):
            self._settle(name)
            yield

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        make_private(self._lock_file.parent)
        lock = FileLock(self._lock_file, timeout=_LOCK_SECONDS)
        try:
            acquired = lock.acquire()
        except Timeout:
            raise StoreError(
                f"another process has been changing the registry for {_LOCK_SECONDS} s "
                f"({self._lock_file} is locked). Wait for it, or end it."
            ) from None
        with acquired, self._turn(name):
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
        self._set_tag(version.name, names.PENDING_DECISION, decision.to_json())
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
            # The alias was moved by hand since then, which overrides the change.
            self._delete_tag(name, names.PENDING_DECISION)
            return None
        self._carry_out(name, decision)
        return decision

    def _carry_out(self, name: str, decision: Decision) -> None:
        client = self._client
        number = str(decision.version)
        self._on_step(2)
        for key, value in written_tags(decision.version_tags).items():
            client.set_model_version_tag(name, number, key, value)
        before = client.get_model_version(name, number).description or ""
        client.update_model_version(name, number, description(before, decision))
        self._on_step(3)
        self._require_pending(name, decision)
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
        # Without the version's tags, which are on the version already.
        record = dataclasses.replace(decision, version_tags={})
        key = f"{names.DECISION_PREFIX}{decision.number:06d}"
        self._set_tag(name, key, record.to_json())
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
        self._remember(champion)
        self._on_step(9)
        self._delete_tag(name, names.PENDING_DECISION)

    def _require_pending(self, name: str, decision: Decision) -> None:
        """Stop where another machine has ended this change: this one was frozen past its turn."""
        text = self.model_tags(name).get(names.PENDING_DECISION)
        if text is None or Decision.from_json(text) != decision:
            raise StoreError(
                f"another process has ended this change of {name}, because it took too long. "
                "`cnn-pipeline history` shows how."
            )

    def _is_remembered(self, champion: ModelVersion) -> bool:
        last = self.journal.last(champion.name) if self.journal else None
        known = (champion.version, champion.sha256)
        return self.journal is None or (last is not None and (last.version, last.sha256) == known)

    def _remember(self, champion: ModelVersion | None) -> None:
        """Write the champion into the journal, unless it is the last one there."""
        if self.journal is None or champion is None or self._is_remembered(champion):
            return
        self.journal.add(Entry(champion.name, champion.version, champion.sha256, champion.run_id))

    def _set_tag(self, name: str, key: str, value: str) -> None:
        self._client.set_registered_model_tag(name, hidden(key), value)

    def _delete_tag(self, name: str, key: str) -> None:
        stored = self._client.get_registered_model(name).tags
        for each in {key, hidden(key)} & stored.keys():
            self._client.delete_registered_model_tag(name, each)

    def _forget_oldest(self, name: str) -> None:
        keys = sorted(k for k in self.model_tags(name) if k.startswith(names.DECISION_PREFIX))
        for key in keys[:-KEPT_DECISIONS]:
            self._delete_tag(name, key)

    def _version_of(self, name: str, stored: StoredModel) -> ModelVersion | None:
        found = [v for v in self.versions(name) if v.model_id == stored.model_id]
        return found[-1] if found else None

    def _create(self, name: str, stored: StoredModel, tags: Mapping[str, str]) -> ModelVersion:
        with contextlib.suppress(MlflowException):  # it exists already
            self._client.create_registered_model(
                name, description=f"Networks for {stored.dataset}; 'champion' is the one in use."
            )
        all_tags = {
            # MLflow lists them in the order in which they were first set.
            names.DECISION: "none yet",
            names.WHY: "not decided on yet",
            **tags,
            names.RUN_NAME: stored.run_name,
            names.MODEL_ID: stored.model_id,
            names.MODEL_SHA256: stored.sha256,
            names.DATASET: stored.dataset,
            names.DATA_DIGEST: stored.data_digest,
            names.CLASS_NAMES: json.dumps(stored.class_names),
            names.IMAGE_SHAPE: "x".join(map(str, stored.image_shape)),
            names.PREPARATION: stored.preparation.to_tag(),
        }
        # MLflow looks for the model in the default store, not in this client's.
        with as_default(self.store.uri):
            created = self._client.create_model_version(
                name,
                f"models:/{stored.model_id}",
                run_id=stored.run_id,
                model_id=stored.model_id,
                tags=written_tags(all_tags),
            )
        return self.version(name, int(created.version))
