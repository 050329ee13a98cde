"""Messages are read as they were written, and both ends refuse invalid ones."""

from __future__ import annotations

import math

import pytest
from pydantic_core import PydanticSerializationError

from cnn_pipeline.base import events
from cnn_pipeline.trainers.messages import (
    FORK_MESSAGES,
    FORK_PACKET_BYTES,
    FORK_REQUESTS,
    JOBS,
    TRAINER_MESSAGES,
    Ended,
    Fork,
    ForkMessage,
    InvalidMessage,
    Job,
    Kill,
    Ready,
    Reply,
    TrainerMessage,
)
from cnn_pipeline.trainers.trainer import COMPILING
from tests.running import SAMPLE, one_trial

JOB = Job(
    trial=one_trial().trials()[0],
    data=SAMPLE,
    data_digest="d",
    cache="/cache with späces",
    store_uri="sqlite:///mlflow.db",
    artifacts_uri=None,
    run_id="r",
    parent_run_id="p",
    checkpoints="/home with späces/checkpoints/0a1b",
    checkpoint_seconds=2.5,
    process="{}",
)


def test_a_job_comes_back_as_it_was() -> None:
    line = JOBS.write(JOB)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert JOBS.read(line) == JOB


@pytest.mark.parametrize(
    "message",
    [
        events.Stage("scoring\nthe champion"),
        events.Delay("compiling"),
        events.DownloadProgress("images", "mirror", 1, 2),
        events.PreparationProgress(1, 2),
        events.TrialPhase("f2-max-s0", "training"),
        events.TrialNote("f2-max-s0", "goes on after epoch 1 of 2"),
        events.TrialProgress("f2-max-s0", 0, 2, 600, 1200, {"loss": 0.1, "accuracy": 1.0}),
        Reply("FAILED", "ValueError: ü"),
        Reply("FINISHED", metrics={"test_loss": math.inf, "val_loss": -math.inf}),
    ],
)
def test_what_a_trainer_says_comes_back_as_it_was(message: TrainerMessage) -> None:
    line = TRAINER_MESSAGES.write(message)
    assert line.count(b"\n") == 1
    assert TRAINER_MESSAGES.read(line) == message


def test_a_metric_may_be_nan() -> None:
    reply = TRAINER_MESSAGES.read(TRAINER_MESSAGES.write(Reply("FINISHED", "", {"loss": math.nan})))
    assert isinstance(reply, Reply) and math.isnan(reply.metrics["loss"])


@pytest.mark.parametrize("message", [Ready(), events.Delay(COMPILING), Ended(2**31, -9)])
def test_what_a_fork_server_says_fits_a_packet(message: ForkMessage) -> None:
    packet = FORK_MESSAGES.write(message)
    assert len(packet) <= FORK_PACKET_BYTES
    assert FORK_MESSAGES.read(packet) == message


@pytest.mark.parametrize("request_", [Fork(0, threads=2), Kill(3)])
def test_a_request_to_a_fork_server_comes_back_as_it_was(request_: Fork | Kill) -> None:
    assert FORK_REQUESTS.read(FORK_REQUESTS.write(request_)) == request_


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"\xff\n", r"Invalid JSON: .*, received b'\\xff\\n'"),
        (b"[]\n", r"Input should be an object, received \[\]"),
        (b"{}\n", "Unable to extract tag"),
        (b'{"kind": "Job"}\n', "Input tag 'Job' found using 'kind' does not match"),
        (b'{"kind": "Stage"}\n', "^Stage.text: Field required"),
        (b'{"kind": "Stage", "text": "a", "b": 1}\n', "^Stage.b: Unexpected .*, received 1$"),
        (b'{"kind": "Delay", "text": null}\n', "^Delay.text: .* valid string, received None$"),
        (
            b'{"kind": "Reply", "status": "FINISHED", "metrics": {"loss": true}}\n',
            "^Reply.metrics.loss: .* valid number, received true$",
        ),
    ],
)
def test_an_invalid_message_is_refused_in_one_line(line: bytes, fault: str) -> None:
    with pytest.raises(InvalidMessage, match=fault) as refused:
        TRAINER_MESSAGES.read(line)
    assert "\n" not in str(refused.value)


def test_a_job_with_a_wrong_setting_is_refused() -> None:
    line = JOBS.write(JOB)
    with pytest.raises(InvalidMessage, match=r"Job.trial.training.epochs: .*, received '1'"):
        JOBS.read(line.replace(b'"epochs":1', b'"epochs":"1"'))
    with pytest.raises(InvalidMessage, match=r"Fork.number: .* greater than or equal to 0"):
        FORK_REQUESTS.read(b'{"kind": "Fork", "number": -1, "threads": 1}')


def test_no_message_of_wrong_types_is_written() -> None:
    with pytest.raises(PydanticSerializationError, match="Expected `float`"):
        TRAINER_MESSAGES.write(Reply("FINISHED", metrics={"loss": "high"}))  # type: ignore[dict-item]
    with pytest.raises(PydanticSerializationError, match="TrialReused"):
        TRAINER_MESSAGES.write(events.TrialReused("f2-max-s0", "r"))  # type: ignore[arg-type]
