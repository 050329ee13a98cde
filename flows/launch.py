"""Start a flow from the command line: prepare the process, then call it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cnn_pipeline import events
from cnn_pipeline.config import Sweep
from cnn_pipeline.experiment import Outcome, trainer_threads
from cnn_pipeline.paths import Home
from cnn_pipeline.retraining.records import RetrainOutcome
from cnn_pipeline.retraining.settings import RetrainSettings
from cnn_pipeline.workers import close_warm, warm_up
from flows.temporary_server import TemporaryServer

if TYPE_CHECKING:
    from prefect import State

_DRAIN_SECONDS = 5
_SETTINGS = {
    # The progress display tells what happens; Prefect keeps its own log of the run.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "DO_NOT_TRACK": "1",
}


def run_flow(sweep: Sweep, home: Home, *, workers: int = 1) -> Outcome:
    """Run the flow `train-variants` in this process and return how it ended."""
    events.emit(events.Stage("starting TensorFlow and Prefect"))
    # First, because it takes longest: TensorFlow's import in another process.
    warm_up(workers, trainer_threads(sweep, workers), home.state / "logs")
    try:
        with prefect_ready(home):
            from flows.train_variants import train_variants

            state = train_variants(sweep, workers=workers, home=str(home.root), return_state=True)
            outcome = _outcome_of(state)
        assert isinstance(outcome, Outcome)
        return outcome
    finally:
        close_warm()


def run_retrain(
    settings: RetrainSettings, home: Home, *, force: bool = False, workers: int = 1
) -> RetrainOutcome:
    """Run the flow `retrain` in this process and return how it ended.

    Trainers start when there is something to train: where nothing changed, none does.
    """
    events.emit(events.Stage("starting Prefect"))
    with prefect_ready(home):
        from flows.retrain import retrain

        state = retrain(
            settings, force=force, workers=workers, home=str(home.root), return_state=True
        )
        outcome = _outcome_of(state)
    assert isinstance(outcome, RetrainOutcome)
    return outcome


def _outcome_of(state: State[Any]) -> Any:
    """What the flow returned, also with the state Failed; its error where it returned nothing.

    Prefect itself takes any value of a failed state for an error that it cannot read.
    """
    outcome = state.result(raise_on_failure=False)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


@contextmanager
def prefect_ready(home: Home) -> Iterator[None]:
    """A Prefect server for this process.

    The configured one; else the one that `cnn-pipeline up` runs under `home`, whose UI then shows
    the run; else a temporary one in `home`.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from prefect.settings import get_current_settings

    from cnn_pipeline.services import running

    if get_current_settings().api.url is not None:
        yield
        return
    up = running(home)
    temporary: TemporaryServer | None = None
    if up is not None and up.ready:
        url = up.addresses.prefect_api
    else:
        temporary = TemporaryServer(home.state / "prefect")
        url = temporary.url
    try:
        os.environ["PREFECT_API_URL"] = url
        # The rest of Prefect is imported while its server does the same.
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()
        from flows import train_variants  # noqa: F401

        if temporary:
            temporary.wait()
        yield
    finally:
        _send_what_is_left()
        os.environ.pop("PREFECT_API_URL", None)
        if temporary:
            temporary.stop()


def _send_what_is_left() -> None:
    """Let Prefect's background threads finish while their server is there.

    They would try to reach it when the interpreter ends, and go on trying for minutes.
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for service in (EventsWorker, APILogWorker):
        service.drain_all(timeout=_DRAIN_SECONDS)
