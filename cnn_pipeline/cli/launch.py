"""Start a flow from the command line: prepare the process, then call it.

What takes long is started first, in processes of its own: TensorFlow's import and Prefect's
server. So nothing heavy is imported here before they are under way.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from cnn_pipeline.base import events
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home, cache_dir
from cnn_pipeline.services.temporary_prefect import TemporaryServer
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.tracking import names
from cnn_pipeline.trainers.pool import close_warm, warm_up
from cnn_pipeline.trainers.scheduling import threads_for, workers_for

if TYPE_CHECKING:
    from prefect import State

    from cnn_pipeline.champion.retraining.outcome import RetrainOutcome
    from cnn_pipeline.champion.retraining.settings import RetrainSettings
    from cnn_pipeline.experiment.sweep_run import Outcome

_DRAIN_SECONDS = 5
_SETTINGS = {
    # The progress display tells what happens; Prefect keeps its own log of the run.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "DO_NOT_TRACK": "1",
}


def run_flow(sweep: Sweep, home: Home, *, workers: int = 0, force: bool = False) -> Outcome:
    """Run the flow `train-variants` in this process and return how it ended.

    Where an equal sweep has been run and nothing has changed since, its outcome is returned, and
    neither a flow run nor anything else is begun; `force` trains it anew.
    """
    count = workers_for(workers, len(sweep.trials()))
    threads = threads_for(sweep, count)
    if not force and _seen(sweep, home):
        events.emit(events.Stage("looking whether anything has changed"))
        unchanged = _unchanged(sweep, home, threads)
        if unchanged is not None:
            return unchanged
    events.emit(events.Stage("starting TensorFlow and Prefect"))
    warm_up(count, threads, home.state / "logs")
    try:
        with prefect_ready(home, prepare=lambda: _open_store(home)):
            from cnn_pipeline.experiment.sweep_run import Outcome
            from flows.train_variants import train_variants

            state = train_variants(
                sweep, workers=count, force=force, home=str(home.root), return_state=True
            )
            outcome = _outcome_of(state)
        assert isinstance(outcome, Outcome)
        return outcome
    finally:
        close_warm()


def _open_store(home: Home) -> None:
    """Import MLflow and make its store, where there is none yet: seconds that need no Prefect."""
    from cnn_pipeline.tracking.store import open_store

    open_store(home, os.environ)


def _seen(sweep: Sweep, home: Home) -> bool:
    """Whether the store under `home` may hold an equal sweep.

    Only a hint, and so without MLflow, whose import would keep TensorFlow's waiting: where there
    is none, all that a training needs is started at once. Of a store that MLFLOW_TRACKING_URI
    names nothing is known; the flow looks there.
    """
    if os.environ.get(TRACKING_VARIABLE) or not home.database.exists():
        return False
    question = "SELECT 1 FROM tags WHERE key = ? AND value = ? LIMIT 1"
    try:
        address = f"{home.database.as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as store:
            return (
                store.execute(question, (names.SWEEP_HASH, sweep.content_hash())).fetchone()
                is not None
            )
    except sqlite3.Error:
        return False


def _unchanged(sweep: Sweep, home: Home, threads: int) -> Outcome | None:
    """The outcome of an equal sweep that training again would only repeat."""
    from cnn_pipeline.experiment.data_card import prepare_data
    from cnn_pipeline.experiment.decide import find_unchanged

    card = prepare_data(sweep.data, cache_dir(os.environ))
    return find_unchanged(sweep, card, home, threads)


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
def prefect_ready(home: Home, prepare: Callable[[], object] = _nothing) -> Iterator[None]:
    """A Prefect server for this process; `prepare` is called while a temporary one still starts.

    The configured one; else the one that `cnn-pipeline up` runs under `home`, whose UI then shows
    the run; else a temporary one in `home`.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from prefect.settings import get_current_settings

    from cnn_pipeline.services.control import running

    if get_current_settings().api.url is not None:
        yield
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

        prepare()
        if temporary:
            temporary.wait()
        with _no_heartbeats() if temporary else contextlib.nullcontext():
            yield
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
