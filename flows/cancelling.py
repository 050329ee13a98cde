"""End a flow run that is cancelled in Prefect, also where no worker watches it.

Prefect's worker ends a cancelled run with SIGTERM. But it learns of the cancellation through a
subscription that does not survive a restart of Prefect's server, and nothing watches a run that a
command started. So a run also asks the server for its own state, and sends itself the signal. In
both cases Prefect's handler raises `TerminationSignal` in the main thread, and `in_words` makes it
a `Stopped`.
"""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID

from prefect import State, Task

# Not public, but the only way to tell a worker's cancellation from another SIGTERM.
from prefect._internal.control_listener import get_intent
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import Abort, TerminationSignal
from prefect.runtime import flow_run
from prefect.states import Cancelled

from cnn_pipeline.base.errors import Stopped
from cnn_pipeline.base.stops import keeping_stop
from cnn_pipeline.services.prefect_client import without_retries
from flows.server import server_answers

P = ParamSpec("P")
R = TypeVar("R")

_CANCELLED = "cancelled in Prefect"
_EVERY_SECONDS = 5.0
_TIMEOUT_SECONDS = 10.0


def until_cancelled(body: Callable[[], State[Any]]) -> State[Any]:
    """Call a flow's body. If its run is cancelled, interrupt it and return Prefect's `Cancelled`.

    Only a flow that runs in the main thread can be interrupted. A server that is away at the end
    is waited for.
    """
    watch = Watch(UUID(flow_run.id))
    token = _WATCH.set(watch)
    try:
        with in_words(), watch.running():
            state = _kept(body)
        # Prefect would refuse any other end for a run that was cancelled in the last seconds.
        reason = watch.ask_once() if server_answers() else None
    except Stopped as stopped:
        reason = str(stopped)
    finally:
        _WATCH.reset(token)
    if reason is None:
        return state
    # A worker's run raises what the state holds. Prefect logs anything but `Abort` as an error.
    return Cancelled(message=reason, data=Abort(reason))


@contextmanager
def keeping_end() -> Iterator[list[State[Any] | Exception]]:
    """Yield a list that gets the state or error with which the body of a flow in this block ends.

    Prefect's engine returns it only if its server took it.
    """
    kept: list[State[Any] | Exception] = []
    token = _KEPT.set(kept)
    try:
        yield kept
    finally:
        _KEPT.reset(token)


def _kept(body: Callable[[], State[Any]]) -> State[Any]:
    kept = _KEPT.get()
    try:
        state = body()
    except Exception as error:
        if kept is not None:
            kept.append(error)
        raise
    if kept is not None:
        kept.append(state)
    return state


def cancellable(made: Task[P, R]) -> Callable[P, R]:
    """Have a task that is interrupted by a cancellation end as Cancelled, not as Crashed.

    Its caller gets `Stopped`.
    """
    body = made.fn

    @functools.wraps(body)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R | State[R]:
        try:
            with in_words():
                return body(*args, **kwargs)
        except Stopped as stopped:
            return Cancelled(message=str(stopped))

    @functools.wraps(body)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with keeping_stop(TerminationSignal):  # Prefect's engine may not have begun yet
            result = made(*args, **kwargs)
        if isinstance(result, State):
            raise Stopped(result.message or "")
        return result

    made.fn = cast(Callable[P, R], guarded)  # Prefect takes a returned state as the task's end
    return call


@contextmanager
def in_words() -> Iterator[None]:
    """Raise `Stopped` with the reason where the signal means that this run is cancelled."""
    try:
        with keeping_stop(TerminationSignal):
            yield
    except TerminationSignal:
        watch = _WATCH.get()
        reason = watch.reason if watch else None
        if reason is None and get_intent() == "cancel":
            reason = _CANCELLED
        if reason is None:
            raise
        # The worker and the watch may both send one, and the second must not interrupt the end.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Stopped(reason) from None


class Watch:
    """Asks the server every few seconds whether a flow run is cancelled, and interrupts it."""

    def __init__(self, run_id: UUID) -> None:
        self.reason: str | None = None
        self._run_id = run_id
        self._over = threading.Event()
        self._lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watch from a thread until the block ends. Only the main thread can be interrupted."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        main = threading.get_ident()
        threading.Thread(target=self._watch, args=(main,), name="cancelling", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                self._over.set()

    def ask_once(self) -> str | None:
        """Why the run is cancelled; None if it is not, or if the server is away."""
        with contextlib.suppress(Exception), without_retries():
            return reason_of(_client(), self._run_id)
        return None

    def _watch(self, main: int) -> None:
        client: SyncPrefectClient | None = None
        with without_retries():
            while self.reason is None and not self._over.wait(_EVERY_SECONDS):
                with contextlib.suppress(Exception):  # the server is away, perhaps for minutes
                    client = client or _client()
                    self.reason = reason_of(client, self._run_id)
        with self._lock:  # not after the run is over
            if self.reason is not None and not self._over.is_set():
                signal.pthread_kill(main, signal.SIGTERM)


_WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)
_KEPT: ContextVar[list[State[Any] | Exception] | None] = ContextVar("kept", default=None)


def reason_of(client: SyncPrefectClient, run_id: UUID) -> str | None:
    """Why the flow run is cancelled, in words; None if it is not."""
    state = client.read_flow_run(run_id).state
    if state is None or state.type not in (StateType.CANCELLING, StateType.CANCELLED):
        return None
    return f"{_CANCELLED}: {state.message}" if state.message else _CANCELLED


def _client() -> SyncPrefectClient:
    return get_client(sync_client=True, httpx_settings={"timeout": _TIMEOUT_SECONDS})
