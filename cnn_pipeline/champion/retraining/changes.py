"""Whether anything changed that a retraining depends on.

One key of the data, the settings, the code that can move a number, and the libraries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from cnn_pipeline.base import versions as provenance
from cnn_pipeline.champion.registry import ModelVersion
from cnn_pipeline.champion.retraining.settings import RetrainSettings
from cnn_pipeline.experiment.content_key import TRIAL_CODE, libraries
from cnn_pipeline.tracking import names

# Folders and files of the package that can move a number or a decision.
CODE = (*TRIAL_CODE, "champion", "comparison")


@dataclass(frozen=True)
class Content:
    """Everything that a retraining depends on, as digests and versions."""

    data: str
    configuration: str
    code: str
    libraries: str
    """'keras 3.15.1, numpy 2.4.0, tensorflow 2.21.0'."""

    @property
    def key(self) -> str:
        """SHA-256 (hex) of all of it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Canonical JSON."""
        return json.dumps(vars(self), sort_keys=True)


@dataclass(frozen=True)
class Change:
    """What is new since the last decision."""

    content: Content
    since: int | None
    """Version that the last decision was about; None where there was none."""
    what: tuple[str, ...]
    """In words; empty where nothing changed."""
    forced: bool = False

    @property
    def calls_for_training(self) -> bool:
        """Whether there is anything to do."""
        return self.forced or bool(self.what)

    @property
    def sentence(self) -> str:
        """'changed since version 3: data, code'."""
        if self.since is None:
            return "no model has been decided on yet"
        if not self.what:
            return f"nothing changed since version {self.since}"
        return f"changed since version {self.since}: {', '.join(self.what)}"


def content_of(data_digest: str, settings: RetrainSettings) -> Content:
    """The content that a retraining with these settings would have now."""
    sweep = settings.sweep.model_dump(mode="json", exclude={"name", "description"})
    # Where the data lie says nothing about what they are; the digest does.
    del sweep["data"]["source"]
    configuration = {
        "sweep": sweep,
        "champion_variant": settings.champion_variant,
        "gate": settings.gate.model_dump(mode="json"),
        "drift": settings.drift.model_dump(mode="json"),
    }
    canonical = json.dumps(configuration, sort_keys=True)
    return Content(
        data=data_digest,
        configuration=hashlib.sha256(canonical.encode()).hexdigest(),
        code=provenance.code_digest(CODE),
        libraries=libraries(),
    )


def find_change(content: Content, versions: Sequence[ModelVersion], *, force: bool) -> Change:
    """Compare with the content of the last version that was promoted or refused."""
    decided = [version for version in versions if names.CONTENT in version.tags]
    if not decided:
        return Change(content, None, ("everything",), force)
    last = decided[-1]
    before = json.loads(last.tags[names.CONTENT])
    what = [
        f"{name} ({before.get(name)} to {value})" if name == "libraries" else name
        for name, value in vars(content).items()
        if before.get(name) != value
    ]
    return Change(content, last.version, tuple(what), force)
