"""Records of the registry: model versions and decisions."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Literal

from cnn_pipeline.data.preparation import AS_IS, Preparation
from cnn_pipeline.tracking import names

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"

Action = Literal["promote", "rollback", "refuse"]


@dataclass(frozen=True)
class ModelVersion:
    """A registered version, with all that is needed to load and trace it."""

    name: str
    version: int
    run_id: str
    model_id: str
    sha256: str
    """Of the `.keras` file, hex."""
    aliases: tuple[str, ...]
    tags: dict[str, str]
    dataset: str
    data_digest: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    """Height, width, channels."""
    preparation: Preparation = AS_IS
    """Of pictures of another size or kind."""

    @property
    def shown(self) -> str:
        """'fashion-mnist-cnn version 3'."""
        return f"{self.name} version {self.version}"


@dataclass(frozen=True)
class Decision:
    """An entry in a registered model's history."""

    number: int
    """Counts from 1."""
    action: Action
    version: int
    """The version that was promoted, restored or refused."""
    champion_before: int | None
    champion_after: int | None
    why: str
    at: str
    """UTC, ISO 8601."""
    flow_run_id: str = ""
    previous_after: int | None = None
    """Version with the alias 'previous' afterwards."""
    version_tags: dict[str, str] = field(default_factory=dict)
    """Tags that the decision sets on its version."""

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Decision:
        """The decision that `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class History:
    """All decisions on a registered model."""

    model: str
    """Name of the registered model."""
    decisions: tuple[Decision, ...]
    """In the order in which they were made."""


def registered_name(dataset: str) -> str:
    """Name of the registered model, as 'fashion-mnist-cnn': that of the experiment."""
    return names.experiment_name(dataset)
