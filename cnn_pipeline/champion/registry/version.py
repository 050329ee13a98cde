"""What the registry tells: model versions, and the decisions that moved them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Literal

from cnn_pipeline.tracking import names

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"

Action = Literal["promote", "rollback", "refuse"]


@dataclass(frozen=True)
class ModelVersion:
    """One registered version, with what is needed to load it and to say where it came from."""

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

    @property
    def shown(self) -> str:
        """'fashion-mnist-cnn version 3'."""
        return f"{self.name} version {self.version}"


@dataclass(frozen=True)
class Decision:
    """One line of a registered model's history."""

    number: int
    """Counts from 1."""
    action: Action
    version: int
    """The version that was promoted, returned to, or refused."""
    champion_before: int | None
    champion_after: int | None
    why: str
    at: str
    """UTC, ISO 8601."""
    flow_run_id: str = ""
    previous_after: int | None = None
    """Version that the alias 'previous' names afterwards."""
    version_tags: dict[str, str] = field(default_factory=dict)
    """Tags that the decision puts on its version."""

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Decision:
        """The decision that `to_json` wrote."""
        return cls(**json.loads(text))


def registered_name(dataset: str) -> str:
    """'fashion-mnist-cnn': the registered model has the name of the experiment."""
    return names.experiment_name(dataset)
