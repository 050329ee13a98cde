"""Read the registry: versions by alias, the history, and verified model files."""

from __future__ import annotations

import json
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion as StoredVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.files import sha256_of
from cnn_pipeline.champion.registry.shown import read_tags, unhidden
from cnn_pipeline.champion.registry.version import CHAMPION, Decision, ModelVersion
from cnn_pipeline.data.preparation import preparation_of
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.artifacts import copy_artifact, reason
from cnn_pipeline.tracking.champions import Journal
from cnn_pipeline.tracking.store import Store, StoreError, unreachable

# MLflow's error codes if a registered model or an alias does not exist.
_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
_PAGE = 1000

# Tags that a version must have. They are written when it is created.
_REQUIRED = (
    names.MODEL_ID,
    names.MODEL_SHA256,
    names.DATASET,
    names.DATA_DIGEST,
    names.CLASS_NAMES,
    names.IMAGE_SHAPE,
)


class DamagedModel(UserError):
    """The file of a registered model is missing, or is another one."""

    exit_code = 1


class Registry:
    """Reads the registered models of one MLflow store.

    `journal` has the champions that there were; without one, an empty registry is a new one.
    """

    def __init__(self, store: Store, journal: Journal | None = None) -> None:
        self.store = store
        self.journal = journal
        self._client = MlflowClient(store.uri, registry_uri=store.uri)

    def by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """The version with an alias; None if there is no such model or alias.

        Raises:
            StoreError: the store does not answer.
        """
        try:
            found = self._client.get_model_version_by_alias(name, alias)
            # This answer has no aliases; the version itself has them.
            found = self._client.get_model_version(name, found.version)
        except MlflowException as error:
            if error.error_code in _ABSENT:
                return None
            raise unreachable(self.store, error) from None
        return _version(found)

    def champion(self, name: str) -> ModelVersion | None:
        """The version in use; None if there has never been one.

        Raises:
            StoreError: there is none, but the journal says that there was, or the store does not
                answer.
        """
        found = self.by_alias(name, CHAMPION)
        last = self.journal.last(name) if self.journal and found is None else None
        if self.journal is None or last is None:
            return found
        raise StoreError(
            f"{name} must have a champion in {self.store.shown_uri}, but has none: {last.text}, "
            f"as {self.journal.path} says. Restore the store from a backup (docs/operations.md, "
            "'Backup and restore'); or name a champion with `cnn-pipeline promote RUN --why TEXT`."
        )

    def version(self, name: str, number: int) -> ModelVersion:
        """The version with a number.

        Raises:
            UserError: there is no such version.
        """
        for version in self.versions(name):
            if version.version == number:
                return version
        raise UserError(f"no version {number} of {name} in {self.store.shown_uri}")

    def names(self) -> tuple[str, ...]:
        """Names of all registered models, sorted."""
        try:
            found = self._client.search_registered_models(max_results=_PAGE)
        except MlflowException as error:
            raise unreachable(self.store, error) from None
        return tuple(sorted(model.name for model in found))

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """All versions of a registered model, oldest first; empty if there is no such model."""
        found: list[StoredVersion] = []
        token = None
        try:
            while True:
                page = self._client.search_model_versions(
                    f"name = '{name.replace(chr(39), '')}'", max_results=_PAGE, page_token=token
                )
                found += page
                token = page.token
                if not token:
                    break
        except MlflowException as error:
            raise unreachable(self.store, error) from None
        # A search returns tags of versions, but no aliases.
        aliases = self._aliases(name) if found else {}
        versions = [_version(item, aliases.get(int(item.version), ())) for item in found]
        return tuple(sorted(versions, key=lambda item: item.version))

    def history(self, name: str) -> tuple[Decision, ...]:
        """The decisions about a registered model, oldest first."""
        decisions = [
            Decision.from_json(value)
            for key, value in self.model_tags(name).items()
            if key.startswith(names.DECISION_PREFIX)
        ]
        return tuple(sorted(decisions, key=lambda item: item.number))

    def model_file(self, version: ModelVersion, folder: Path) -> Path:
        """Copy a version's `.keras` file to `folder` and verify its SHA-256.

        Raises:
            DamagedModel: the file is missing, or is not the registered one.
        """
        try:
            root = self._client.get_model_version_download_uri(version.name, str(version.version))
            path = copy_artifact(root, names.MODEL_FILE, folder, self.store.uri)
            received = sha256_of(path)
        except (MlflowException, OSError) as error:
            raise DamagedModel(
                f"the model file of {version.shown} must be readable, received: {reason(error)}. "
                "Restore the artifacts from a backup, or roll back."
            ) from None
        if received != version.sha256:
            raise DamagedModel(
                f"the model file of {version.shown} must have SHA-256 {version.sha256}, received "
                f"{received}: it is damaged or was replaced. Restore the artifacts from a backup, "
                "or roll back."
            )
        return path

    def model_tags(self, name: str) -> dict[str, str]:
        """Tags of the registered model itself; empty if there is no such model."""
        try:
            return unhidden(self._client.get_registered_model(name).tags)
        except MlflowException as error:
            if error.error_code in _ABSENT:
                return {}
            raise unreachable(self.store, error) from None

    def _aliases(self, name: str) -> dict[int, tuple[str, ...]]:
        by_version: dict[int, tuple[str, ...]] = {}
        for alias, number in sorted(self._client.get_registered_model(name).aliases.items()):
            by_version[int(number)] = (*by_version.get(int(number), ()), alias)
        return by_version


def _version(found: StoredVersion, aliases: tuple[str, ...] | None = None) -> ModelVersion:
    tags = read_tags(found.tags)
    missing = [key for key in _REQUIRED if key not in tags]
    if missing:
        raise UserError(
            f"{found.name} version {found.version} must have the tags that cnn-pipeline writes, "
            f"but {', '.join(missing)} is missing: something else registered it. "
            "Delete the version, or move the alias with `cnn-pipeline promote RUN --why TEXT`."
        )
    height, width, channels = map(int, tags[names.IMAGE_SHAPE].split("x"))
    return ModelVersion(
        name=found.name,
        version=int(found.version),
        run_id=str(found.run_id),
        model_id=tags[names.MODEL_ID],
        sha256=tags[names.MODEL_SHA256],
        aliases=tuple(sorted(found.aliases)) if aliases is None else aliases,
        tags=tags,
        dataset=tags[names.DATASET],
        data_digest=tags[names.DATA_DIGEST],
        class_names=tuple(json.loads(tags[names.CLASS_NAMES])),
        image_shape=(height, width, channels),
        preparation=preparation_of(tags[names.DATASET], tags.get(names.PREPARATION)),
    )
