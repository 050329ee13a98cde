"""How long calls to MLflow are repeated, and after which errors.

A server that restarts, a frozen one and a locked SQLite file answer again by themselves. So a call
that fails in such a way is made again, for two and a half minutes from the first failure. MLflow's
own client makes each request once (`store.set_client_defaults`): it would also send again what a
frozen server has received, and so start a run twice.
"""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import requests
import sqlalchemy.exc
from mlflow.exceptions import MlflowException, RestException
from mlflow.tracking import MlflowClient

from cnn_pipeline.base import events
from cnn_pipeline.base.errors import AGAIN, Interrupted, causes
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.tracking.store import Store, StoreError, StoreSilent, open_store

SECONDS = 150.0
"""How long a store may be away before a call to it fails."""
_PAUSES = (0.5, 1.0, 2.0, 4.0)
_LAST_PAUSE = 8.0
# A call that fails so soon after a failure meets the same absence, not a new one.
_SAME_ABSENCE = 60.0
_BUSY = (requests.codes.request_timeout, requests.codes.too_many_requests)
_NETWORK = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.RetryError,  # the server's status was 5xx
    requests.exceptions.ChunkedEncodingError,
)

_UNREACHED = "Max retries exceeded"

T = TypeVar("T")


class StoreAway(StoreError, Interrupted):
    """MLflow's store did not answer for as long as anybody waits for it."""


def is_transient(error: BaseException) -> bool:
    """Whether the store may answer again if the call is repeated.

    So it is after a refused, reset or timed-out connection, a server's status 5xx, and 'database is
    locked'. It is not after a full disk, a damaged database, or a request that is refused.
    """
    text = str(error)
    if isinstance(error, StoreError):  # of `open_store`, which says what it has received
        said = isinstance(error, StoreSilent) or "is locked" in text or _UNREACHED in text
        return said and not isinstance(error, StoreAway)
    if "sqlite3." in text:
        return "is locked" in text
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        return status >= requests.codes.server_error or status in _BUSY
    if isinstance(error, requests.exceptions.SSLError):
        return False
    if isinstance(error, _NETWORK):
        return True
    if isinstance(error, sqlalchemy.exc.OperationalError):
        return True
    if not isinstance(error, MlflowException):
        return False
    status = error.get_http_status_code()
    temporary = bool(status >= requests.codes.server_error or status in _BUSY)
    # MLflow's own errors have status 500 unless they say otherwise.
    if isinstance(error, RestException) or error.error_code != "INTERNAL_ERROR":
        return temporary
    inner = error.__cause__ or error.__context__
    # Where it downloads several files, it writes their errors into its own.
    return (inner is not None and is_transient(inner)) or _UNREACHED in text


class Patience:
    """Repeats calls to one store while it is away. Threads may share it."""

    def __init__(
        self,
        shown_uri: str,
        seconds: float = SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.shown_uri = shown_uri
        self.seconds = seconds
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._since: float | None = None
        """When the first call of this absence failed."""
        self._last = 0.0

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call `function`, and again after each transient error, until the store was away too long.

        What it does must be safe to do twice: a call whose reply was lost has had its effect.

        Raises:
            StoreAway: it was away for too long.
            Exception: any other error of the call.
        """
        for pause in itertools.chain(_PAUSES, itertools.repeat(_LAST_PAUSE)):
            began = self._clock()
            try:
                result = function(*args, **kwargs)
            except Exception as error:
                if not is_transient(error):
                    raise
                self._wait(error, began, pause)
            else:
                with self._lock:
                    self._since = None
                break
        return result

    def lose(self) -> None:
        """Give up at the next failure: another process has waited in vain."""
        with self._lock:
            self._last = self._clock()
            self._since = self._last - self.seconds

    def _wait(self, error: Exception, began: float, pause: float) -> None:
        now = self._clock()
        with self._lock:
            first = self._since is None or began - self._last > _SAME_ABSENCE
            since = began if first or self._since is None else self._since
            self._since, self._last = since, now
        left = since + self.seconds - now
        if left <= 0:
            raise StoreAway(
                f"MLflow at {self.shown_uri} did not answer for {self.seconds:.0f} s: "
                f"{brief(error)}. Start it, and {AGAIN}."
            ) from error
        if first:
            events.emit(
                events.Stage(
                    f"waiting up to {self.seconds:.0f} s for MLflow at {self.shown_uri} "
                    f"({brief(error)})"
                )
            )
        self._sleep(min(pause, left))


@functools.cache
def patience_with(store: Store) -> Patience:
    """The patience of this process with a store: all that use it meet the same absence."""
    return Patience(store.shown_uri)


def open_patiently(home: Home, environ: Mapping[str, str]) -> Store:
    """`open_store` in the middle of a sweep: a store that is away is waited for."""
    named = environ.get(TRACKING_VARIABLE, "").strip()
    return Patience(redacted(named or home.database_uri)).call(open_store, home, environ)


def patient_client(store: Store, patience: Patience | None = None) -> MlflowClient:
    """A client of MLflow whose calls are repeated while the store is away.

    For calls that are safe to make twice. Those that create something are not.
    """
    client = _PatientClient(MlflowClient(store.uri), patience or patience_with(store))
    return cast(MlflowClient, client)


class _PatientClient:
    def __init__(self, client: MlflowClient, patience: Patience) -> None:
        self._client, self._patience = client, patience

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return functools.partial(self._patience.call, getattr(self._client, name))


def brief(error: BaseException) -> str:
    """The first cause of an error in a few words; MLflow wraps it in addresses and advice."""
    *_, error = causes(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    lines = redacted(str(error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__
