"""What a sweep and its trainer processes say to each other: one JSON object a line.

JSON on pipes rather than pickled objects: nothing that is read can run code, and a trainer can
be driven by hand for debugging.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from cnn_pipeline.base import events
from cnn_pipeline.network.results import Status
from cnn_pipeline.settings.trial import DataSettings, Trial

FORK_PACKET_BYTES = 256
"""The longest message between a sweep and its fork server, with room to spare."""

_EVENTS = {
    kind.__name__: kind
    for kind in (events.Stage, events.Delay, events.TrialPhase, events.TrialProgress)
}


@dataclass(frozen=True)
class Job:
    """One trial to run, and where to write it."""

    trial: Trial
    data: DataSettings
    data_digest: str
    """What the images must be: the trainer loads them itself."""
    cache: str
    store_uri: str
    artifacts_uri: str | None
    run_id: str
    parent_run_id: str

    def to_line(self) -> str:
        """One line of JSON."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["trial"] = self.trial.model_dump(mode="json")
        fields["data"] = self.data.model_dump(mode="json")
        return json.dumps(fields) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Job:
        """The job that `to_line` wrote."""
        fields = json.loads(line)
        fields["trial"] = Trial.model_validate(fields["trial"])
        fields["data"] = DataSettings.model_validate(fields["data"])
        return cls(**fields)


@dataclass(frozen=True)
class ScoreJob:
    """A model file to score on the test images; what it answers is written to `answers`."""

    name: str
    """What progress calls the model."""
    model: str
    """Path of a `.keras` file."""
    sha256: str
    """What the file must be, in hex."""
    data: DataSettings
    data_digest: str
    cache: str
    answers: str
    """Path of the `.npz` file to write: `labels` int64 [n], `probabilities` float32 [n, k]."""

    def to_line(self) -> str:
        """One line of JSON, with its type."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["data"] = self.data.model_dump(mode="json")
        return json.dumps({"type": "ScoreJob", **fields}) + "\n"

    @classmethod
    def from_line(cls, line: str) -> ScoreJob:
        """The job that `to_line` wrote."""
        fields = json.loads(line)
        del fields["type"]
        fields["data"] = DataSettings.model_validate(fields["data"])
        return cls(**fields)


AnyJob = Job | ScoreJob


def job_from_line(line: str) -> AnyJob:
    """The job of either kind that a line holds."""
    kind = json.loads(line).get("type")
    return ScoreJob.from_line(line) if kind == "ScoreJob" else Job.from_line(line)


@dataclass(frozen=True)
class Reply:
    """How a job ended: FINISHED with its metrics, or FAILED with the reason."""

    status: Status
    reason: str = ""
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)


def to_line(message: events.Event | Reply) -> str:
    """An event or a reply as one line of JSON."""
    return json.dumps({"type": type(message).__name__, **dataclasses.asdict(message)}) + "\n"


def from_line(line: str) -> events.Event | Reply:
    """The message that `to_line` wrote.

    Raises:
        ValueError: the line is not one.
    """
    fields: dict[str, Any] = json.loads(line)
    kind = fields.pop("type", None)
    if kind == "Reply":
        return Reply(**fields)
    if kind not in _EVENTS:
        raise ValueError(f"a message must be one of {['Reply', *_EVENTS]}, received {kind!r}")
    return _EVENTS[kind](**fields)
