"""HTTP GET into an open file, with limits on every wait, on redirects and on size."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import BinaryIO

_PROGRESS_SECONDS = 0.1


@dataclass(frozen=True)
class Limits:
    """Seconds to connect, between two chunks and for the whole file; number of redirects."""

    connect_seconds: float = 5.0
    read_seconds: float = 15.0
    total_seconds: float = 120.0
    redirects: int = 5


class DownloadError(Exception):
    """The download failed. `unusable`: the server would fail for other files, too."""

    def __init__(self, reason: str, *, unusable: bool) -> None:
        self.unusable = unusable
        super().__init__(reason)


@dataclass
class _Counter:
    done: int = 0
    total: int = 0


def download(
    url: str,
    target: BinaryIO,
    max_bytes: int,
    limits: Limits,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write the body of `url` to `target`, at most `max_bytes`.

    `on_progress(done, total)` is called in the calling thread at most ten times a second, in
    bytes; `total` is 0 if the server does not send it.

    The transfer runs in its own thread, which is abandoned after `limits.total_seconds`: socket
    timeouts limit neither a name lookup nor a header that arrives byte by byte.

    Raises:
        DownloadError: the server or the network failed, or a limit was exceeded.
        OSError: `target` cannot be written.
    """
    counter = _Counter()
    outcome: Future[None] = Future()
    abandoned = threading.Event()

    def work() -> None:
        try:
            _transfer(url, target, max_bytes, limits, counter, abandoned)
            outcome.set_result(None)
        except Exception as error:  # raised in the calling thread
            outcome.set_exception(error)

    end = time.monotonic() + limits.total_seconds
    threading.Thread(target=work, name="download", daemon=True).start()
    try:
        while not wait([outcome], timeout=_PROGRESS_SECONDS).done:
            if time.monotonic() >= end:
                raise DownloadError(
                    f"not finished after {limits.total_seconds:g} s "
                    f"({counter.done:,} bytes received)",
                    unusable=True,
                )
            on_progress(counter.done, counter.total)
        outcome.result()
    finally:
        abandoned.set()
    on_progress(counter.done, counter.total)


def _transfer(
    url: str,
    target: BinaryIO,
    max_bytes: int,
    limits: Limits,
    counter: _Counter,
    abandoned: threading.Event,
) -> None:
    # Imported late: trainers read the verified cache and need no HTTP (0.2 s).
    import httpx

    timeout = httpx.Timeout(limits.read_seconds, connect=limits.connect_seconds)
    try:
        with (
            httpx.Client(
                timeout=timeout, follow_redirects=True, max_redirects=limits.redirects
            ) as client,
            client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise DownloadError(f"HTTP status {response.status_code}", unusable=False)
            counter.total = _content_length(response.headers.get("content-length", ""))
            if counter.total > max_bytes:
                raise DownloadError(
                    f"the server announces {counter.total:,} bytes, expected at most {max_bytes:,}",
                    unusable=False,
                )
            # iter_raw: the file itself is gzip, and must stay compressed.
            for chunk in response.iter_raw():
                if abandoned.is_set():
                    return
                counter.done += len(chunk)
                if counter.done > max_bytes:
                    raise DownloadError(f"more than {max_bytes:,} bytes received", unusable=False)
                target.write(chunk)
    except (httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol) as error:
        raise DownloadError(f"cannot connect: {error}", unusable=True) from error
    except httpx.ConnectTimeout as error:
        raise DownloadError(
            f"no connection within {limits.connect_seconds:g} s", unusable=True
        ) from error
    except httpx.TimeoutException as error:
        raise DownloadError(
            f"no data for {limits.read_seconds:g} s ({counter.done:,} bytes received)",
            unusable=True,
        ) from error
    except httpx.TooManyRedirects as error:
        raise DownloadError(f"more than {limits.redirects} redirects", unusable=True) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DownloadError(
            f"connection lost: {str(error) or type(error).__name__}", unusable=False
        ) from error


def _content_length(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
