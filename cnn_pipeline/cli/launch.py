"""Call a flow from the command line.

The slowest parts start first, in their own processes: TensorFlow's import and Prefect's server. So
nothing heavy is imported here before.
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
    # The command shows its own progress. Prefect's server still has the log of the run.
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

    If an identical sweep is stored and intact, its outcome is returned and nothing starts.

    Args:
        sweep: the variants, seeds, training settings and data.
        home: folder that holds all state.
        workers: trainers at a time; 0 is one per core, at most one per trial.
        force: retrain even if identical runs exist.
        checked: what `check_sweep` returned; the plans are computed here otherwise.
    """
    looks = may_reuse(home, force=force)
    if looks:
        events.emit(events.Stage("looking for trials to reuse"))
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

    Trainers start only if there is something to train.
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
    """The value that the flow returned, even if its state is Failed. An error is raised.

    By itself, Prefect reads the value of any failed state as an error.
    """
    outcome = state.result(raise_on_failure=False)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _nothing() -> None:
    pass


@contextmanager
def prefect_ready(home: Home, prepare: Callable[[], Any] = _nothing) -> Iterator[Any]:
    """Give this process a Prefect server. Yields what `prepare` returns.

    The server is the configured one; else the one that `cnn-pipeline up` runs under `home`, whose
    UI then shows the run; else a temporary one. `prepare` is called while a temporary one starts.
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
    # Import the rest of Prefect while its server starts.
    from prefect.context import refresh_global_settings_context

    try:
        os.environ["PREFECT_API_URL"] = url
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
        refresh_global_settings_context()  # else the next flow would look for this server
        if temporary:
            temporary.stop()


def _no_heartbeats() -> AbstractContextManager[object]:
    """Switch off heartbeats: a temporary server needs none.

    The thread that sends them takes up to a second to end.
    """
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    return temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})


def _send_what_is_left() -> None:
    """Let Prefect's background threads finish while their server runs.

    At the end of the interpreter they would try to reach it for minutes.
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for service in (EventsWorker, APILogWorker):
        service.drain_all(timeout=_DRAIN_SECONDS)
