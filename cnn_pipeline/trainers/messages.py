"""Messages between a sweep, its trainers and its fork server: one JSON object per line.

JSON rather than pickle: reading it cannot run code, and a trainer can be driven by hand for
debugging. Both ends check types, and refuse unknown kinds and keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import ConfigDict, Discriminator, NonNegativeInt, TypeAdapter, ValidationError

from cnn_pipeline.base import events
from cnn_pipeline.network.results import Status
from cnn_pipeline.settings.faults import dotted, shown
from cnn_pipeline.settings.trial import DataSettings, Trial

FORK_PACKET_BYTES = 256
"""Enough for the longest message between a sweep and its fork server."""

# A metric may be NaN or infinite. Both are written as in JavaScript.
_CONFIG = ConfigDict(extra="forbid", strict=True, ser_json_inf_nan="constants")

MessageT = TypeVar("MessageT")


class InvalidMessage(ValueError):
    """What was read is not a message. Gives the reason in one line."""


class Wire(Generic[MessageT]):
    """Writes and reads the messages of one direction; the key `kind` tells them apart."""

    def __init__(self, kinds: Any) -> None:
        """`kinds` is a union of dataclasses, each with a literal `kind`."""
        self._adapter: TypeAdapter[MessageT] = TypeAdapter(
            Annotated[kinds, Discriminator("kind")], config=_CONFIG
        )

    def write(self, message: MessageT) -> bytes:
        """One line of JSON, with its newline.

        Raises:
            PydanticSerializationError: a field does not have its declared type.
        """
        return self._adapter.dump_json(message, warnings="error") + b"\n"

    def read(self, line: bytes) -> MessageT:
        """The message that `write` wrote.

        Raises:
            InvalidMessage: the line is not a message of this direction.
        """
        try:
            return self._adapter.validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
        where = f"{dotted(first['loc'])}: " if first["loc"] else ""
        raise InvalidMessage(f"{where}{first['msg']}, received {shown(first['input'])}")


@dataclass(frozen=True)
class Job:
    """A trial to run, and where to log it."""

    trial: Trial
    data: DataSettings
    data_digest: str
    """Expected digest of the images, which the trainer loads itself."""
    cache: str
    store_uri: str
    artifacts_uri: str | None
    run_id: str
    parent_run_id: str
    checkpoints: str = ""
    """Folder of this trial's checkpoints, whose name is its content key; empty for none."""
    place: str = ""
    """Address of this trial's `Place`; empty if `checkpoints` is where they are kept."""
    checkpoint_seconds: float = 60.0
    """An epoch that takes longer is saved within it too."""
    process: str = ""
    """The sweep's process, as its run has it."""
    node: str = ""
    """The node of a cluster that trains it; empty on the sweep's own machine."""
    kind: Literal["Job"] = "Job"


@dataclass(frozen=True)
class ScoreJob:
    """A model file to score on the test images. Its predictions are written to `answers`."""

    name: str
    """Name of the model in progress messages."""
    model: str
    """Path of a `.keras` file."""
    sha256: str
    """Expected SHA-256 of the file, in hex."""
    data: DataSettings
    data_digest: str
    cache: str
    answers: str
    """Path of the `.npz` file to write: `labels` int64 [n], `probabilities` float32 [n, k]."""
    rival: str = ""
    """Path of a second `.keras` file, whose latency is measured in turn with the first's."""
    rival_sha256: str = ""
    kind: Literal["ScoreJob"] = "ScoreJob"


@dataclass(frozen=True)
class Reply:
    """How a job ended: FINISHED with metrics, or FAILED with a reason."""

    status: Status
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    stops_sweep: bool = False
    """Whether other jobs would end so, too: MLflow is away, or a disk is full."""
    kind: Literal["Reply"] = "Reply"


@dataclass(frozen=True)
class Fork:
    """Fork a trainer; its stdin, stdout and stderr come with the packet."""

    number: NonNegativeInt
    threads: int
    kind: Literal["Fork"] = "Fork"


@dataclass(frozen=True)
class Kill:
    """Kill a trainer."""

    number: NonNegativeInt
    kind: Literal["Kill"] = "Kill"


@dataclass(frozen=True)
class Ready:
    """The server has imported everything."""

    kind: Literal["Ready"] = "Ready"


@dataclass(frozen=True)
class Ended:
    """A trainer has ended. The exit status is negative for a signal, as in `subprocess`."""

    number: NonNegativeInt
    status: int
    kind: Literal["Ended"] = "Ended"


AnyJob = Job | ScoreJob
TrainerMessage = (
    events.Stage
    | events.Delay
    | events.DownloadProgress
    | events.PreparationProgress
    | events.TrialPhase
    | events.TrialNote
    | events.TrialProgress
    | Reply
)
ForkRequest = Fork | Kill
ForkMessage = Ready | events.Delay | Ended

JOBS: Wire[AnyJob] = Wire(AnyJob)
"""From the sweep to a trainer."""
TRAINER_MESSAGES: Wire[TrainerMessage] = Wire(TrainerMessage)
"""From a trainer to the sweep."""
FORK_REQUESTS: Wire[ForkRequest] = Wire(ForkRequest)
"""From the sweep to its fork server."""
FORK_MESSAGES: Wire[ForkMessage] = Wire(ForkMessage)
"""From the fork server to its sweep."""
