"""Call a flow from the command line.

The slowest parts start first, in their own processes: TensorFlow's import and Prefect's server. So
nothing heavy is imported here before.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from cnn_pipeline.base import events
from cnn_pipeline.base.errors import Stopped, UserError
from cnn_pipeline.base.home import Home, cache_dir
from cnn_pipeline.base.links import check_address, to_open
from cnn_pipeline.base.reachable import silence
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.experiment.decide import Decision, deciding, may_reuse
from cnn_pipeline.services.named import API_VARIABLE, api_remedy
from cnn_pipeline.services.temporary_prefect import TemporaryServer
from cnn_pipeline.settings.engine import LOCAL, Engine
from cnn_pipeline.settings.resuming import Resuming
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.tracking.store import open_store, require_store

if TYPE_CHECKING:
    from prefect import State

    from cnn_pipeline.champion.retraining.outcome import RetrainOutcome
    from cnn_pipeline.champion.retraining.settings import RetrainSettings
    from cnn_pipeline.experiment.outcome import Outcome
    from cnn_pipeline.experiment.preflight import Preflight

_DRAIN_SECONDS = 5
_ANSWER_SECONDS = 8.0
_SETTINGS = {
    # The command shows its own progress. Prefect's server still has the log of the run.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # prints whole events if the server is gone
    "DO_NOT_TRACK": "1",
}


class ServerLost(UserError):
    """Prefect's server ended before the run did."""

    exit_code = 1


def run_flow(
    sweep: Sweep,
    home: Home,
    *,
    workers: int = 0,
    force: bool = False,
    resuming: Resuming = Resuming(),  # noqa: B008 - frozen
    checked: Preflight | None = None,
    engine: Engine = LOCAL,
    search: str = "",
) -> Outcome:
    """Run the flow `train-variants` in this process and return how it ended.

    If an identical sweep is stored and intact, its outcome is returned and nothing starts.

    Args:
        sweep: the variants, seeds, training settings and data.
        home: folder that holds all state.
        workers: trainers at a time; 0 is one per core, at most one per trial.
        force: retrain even if identical runs exist.
        resuming: how what was stopped goes on.
        checked: what `check_sweep` returned; the plans are computed here otherwise.
        engine: where trainers run.
        search: id of the search that chose the variants; empty if none did.
    """
    _require_servers(home)
    looks = may_reuse(home, force=force)
    if looks:
        events.emit(events.Stage("looking for trials to reuse"))
    with deciding(
        sweep,
        home,
        workers=workers,
        force=force,
        checked=checked,
        resuming=resuming,
        engine=engine,
        search=search,
    ) as decide:
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
                state = _end_of(
                    lambda: train_variants(
                        sweep,
                        workers=decision.crew.most,
                        force=force,
                        # Shown in Prefect; a run that is started again there has it, too.
                        advanced=engine.model_dump(mode="json", exclude_defaults=True),
                        home=str(home.root),
                        return_state=True,
                    )
                )
            again = "Run it again without --force" if force else "Run the same command again"
            outcome = _outcome_of(state, f"{again} to go on.")
        assert isinstance(outcome, Outcome)
        return outcome


def run_retrain(
    settings: RetrainSettings,
    home: Home,
    *,
    force: bool = False,
    workers: int = 0,
    engine: Engine = LOCAL,
) -> RetrainOutcome:
    """Run the flow `retrain` in this process and return how it ended.

    Trainers start, where `engine` says, only if there is something to train.
    """
    _require_servers(home)
    events.emit(events.Stage("starting Prefect"))
    with prefect_ready(home):
        from cnn_pipeline.champion.retraining.outcome import RetrainOutcome
        from flows.retrain import retrain

        given = settings.model_dump(mode="json", exclude={"sweep", "notify"}, exclude_defaults=True)
        given |= engine.model_dump(mode="json", exclude_defaults=True)
        state = _end_of(
            lambda: retrain(
                settings.sweep,
                notify=settings.notify,
                advanced=given,
                force=force,
                workers=workers,
                home=str(home.root),
                return_state=True,
            )
        )
        outcome = _outcome_of(state, "No promotion follows. Run it again to go on.")
    assert isinstance(outcome, RetrainOutcome)
    return outcome


def _end_of(call: Callable[[], State[Any]]) -> State[Any]:
    """The state with which a flow ends, also if Prefect's server was gone by then."""
    from flows.cancelling import keeping_end

    with keeping_end() as ended:
        try:
            return copy_context().run(call)  # settings that the flow leaves behind end here
        except Exception:
            if not ended:
                raise
            _leave_at_once()
            if isinstance(ended[0], Exception):
                raise ended[0] from None
            return ended[0]


def _leave_at_once() -> None:
    """Have the command end without Prefect's threads: they would try for minutes to send logs."""
    from cnn_pipeline.cli import app

    app.exit_process = os._exit


def _outcome_of(state: State[Any], then: str) -> Any:
    """The value that the flow returned, even if its state is Failed. An error is raised.

    By itself, Prefect reads the value of any failed state as an error.

    Raises:
        Stopped: the run was cancelled; `then` says what is left of it.
    """
    if state.is_cancelled():
        from prefect.utilities.urls import url_for

        page = to_open(url_for("flow-run", obj_id=state.state_details.flow_run_id) or "")
        raise Stopped(f"{state.message} ({page}). {then}")
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
    logging.raiseExceptions = False  # else Prefect prints that a lost server gets no logs
    from prefect.settings import get_current_settings

    from cnn_pipeline.services.running import running

    if (configured := get_current_settings().api.url) is not None:
        check_address(API_VARIABLE, configured)
        _require_answer(configured)
        with _answering(configured):
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
        if not temporary:
            _require_answer(url)
        from flows import train_variants  # noqa: F401

        prepared = prepare()
        if temporary:
            temporary.wait()
        with _answering(url), _no_heartbeats() if temporary else contextlib.nullcontext():
            yield prepared
    finally:
        _send_what_is_left()
        os.environ.pop("PREFECT_API_URL", None)
        refresh_global_settings_context()  # else the next flow would look for this server
        if temporary:
            temporary.stop()


def _require_servers(home: Home) -> None:
    """Ask the servers that the environment names, before anything heavy starts.

    Raises:
        UserError: one does not answer, or the store is damaged.
    """
    require_store(home, os.environ)
    url = os.environ.get(API_VARIABLE, "").strip()
    check_address(API_VARIABLE, url)
    if fault := silence(url, "/health"):
        raise _no_answer(url, fault)


def _require_answer(url: str) -> None:
    """Ask a server before anything is trained: Prefect would wait for one that never answers.

    Raises:
        ServerLost: it does not answer within some seconds.
    """
    from cnn_pipeline.services.prefect_client import fault_of_server

    if fault := fault_of_server(_ANSWER_SECONDS):
        raise _no_answer(url, fault)


def _no_answer(url: str, fault: str) -> ServerLost:
    remedy = api_remedy()
    return ServerLost(
        f"the Prefect server must answer at {redacted(url)}, received: {redacted(fault)}. "
        f"Nothing was trained. {remedy[0].upper()}{remedy[1:]}."
    )


@contextmanager
def _answering(url: str) -> Iterator[None]:
    """Turn the error of a server that is gone into one that says what to do."""
    import httpx

    try:
        yield
    except httpx.TransportError as error:
        _leave_at_once()
        raise ServerLost(
            f"the Prefect server of this run must answer at {redacted(url)}, received: {error}. "
            "Start it again, or another one, and repeat the command to go on."
        ) from error


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
