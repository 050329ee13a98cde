"""Start a flow from the command line: prepare the process, then call it.

What takes long is started first, in processes of its own: TensorFlow's import and Prefect's
server. So nothing heavy is imported here before they are under way.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from cnn_pipeline.base import events
from cnn_pipeline.base.home import Home, cache_dir
from cnn_pipeline.experiment.decide import Decision, deciding, may_reuse
from cnn_pipeline.services.temporary_prefect import TemporaryServer
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.tracking.store import open_store

if TYPE_CHECKING:
    from prefect import State

    from cnn_pipeline.champion.retraining.outcome import RetrainOutcome
    from cnn_pipeline.champion.retraining.settings import RetrainSettings
    from cnn_pipeline.experiment.outcome import Outcome
    from cnn_pipeline.experiment.preflight import Preflight

_DRAIN_SECONDS = 5
_SETTINGS = {
    # The progress display tells what happens; Prefect keeps its own log of the run.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "DO_NOT_TRACK": "1",
}


def run_flow(
    sweep: Sweep,
    home: Home,
    *,
    workers: int = 0,
    force: bool = False,
    checked: Preflight | None = None,
) -> Outcome:
    """Run the flow `train-variants` in this process and return how it ended.

    Where an identical sweep has been run and nothing has changed, its outcome is returned, and
    neither a flow run nor anything else is begun; `force` trains it anew. `checked` is what
    `check_sweep` found, where it has been asked already.
    """
    looks = may_reuse(home, force=force)
    if looks:
        events.emit(events.Stage("looking whether anything has changed"))
    with deciding(sweep, home, workers=workers, force=force, checked=checked) as decide:
        if looks and (unchanged := decide().unchanged) is not None:
            return unchanged
        events.emit(events.Stage("starting TensorFlow and Prefect"))

        def prepare() -> Decision:
            """Load the data, import MLflow and make its store: seconds that need no Prefect."""
            decision = decide()
            open_store(home, os.environ)
            return decision

        with prefect_ready(home, prepare) as decision:
            from cnn_pipeline.experiment.outcome import Outcome
            from flows.train_variants import decided, train_variants

            with decided(decision):
                state = train_variants(
                    sweep,
                    workers=decision.crew.workers,
                    force=force,
                    home=str(home.root),
                    return_state=True,
                )
            outcome = _outcome_of(state)
        assert isinstance(outcome, Outcome)
        return outcome


def run_retrain(
    settings: RetrainSettings, home: Home, *, force: bool = False, workers: int = 0
) -> RetrainOutcome:
    """Run the flow `retrain` in this process and return how it ended.

    Trainers start when there is something to train: where nothing changed, none does.
    """
    events.emit(events.Stage("starting Prefect"))
    with prefect_ready(home):
        from cnn_pipeline.champion.retraining.outcome import RetrainOutcome
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


def _nothing() -> None:
    pass


@contextmanager
def prefect_ready(home: Home, prepare: Callable[[], Any] = _nothing) -> Iterator[Any]:
    """A Prefect server for this process; yields what `prepare` returns.

    `prepare` is called while a temporary server still starts.

    The configured one; else the one that `cnn-pipeline up` runs under `home`, whose UI then shows
    the run; else a temporary one in `home`.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from prefect.settings import get_current_settings

    from cnn_pipeline.services.control import running

    if get_current_settings().api.url is not None:
        yield prepare()
        return
    up = running(home)
    temporary: TemporaryServer | None = None
    if up is not None and up.ready:
        url = up.addresses.prefect_api
    else:
        temporary = TemporaryServer(home.state / "prefect", cache_dir(os.environ))
        url = temporary.url
    try:
        os.environ["PREFECT_API_URL"] = url
        # The rest of Prefect is imported while its server does the same.
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()
        from flows import train_variants  # noqa: F401

        prepared = prepare()
        if temporary:
            temporary.wait()
        with _no_heartbeats() if temporary else contextlib.nullcontext():
            yield prepared
    finally:
        _send_what_is_left()
        os.environ.pop("PREFECT_API_URL", None)
        if temporary:
            temporary.stop()


def _no_heartbeats() -> AbstractContextManager[object]:
    """No word from time to time that the run goes on: a server that ends with it asks for none.

    The thread that sends them takes up to a second to end.
    """
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    return temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})


def _send_what_is_left() -> None:
    """Let Prefect's background threads finish while their server is there.

    They would try to reach it when the interpreter ends, and go on trying for minutes.
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for service in (EventsWorker, APILogWorker):
        service.drain_all(timeout=_DRAIN_SECONDS)
