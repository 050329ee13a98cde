"""One HTTP GET into an open file, with a bound on every wait, on redirects and on size."""

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
    """Deadlines in seconds: to connect, between two pieces, and for the file in all."""

    connect_seconds: float = 5.0
    read_seconds: float = 15.0
    total_seconds: float = 120.0
    redirects: int = 5


class DownloadError(Exception):
    """The file could not be had. `unusable`: the server will not do better for another file."""

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
    """Write the body of `url` to `target`, at most `max_bytes` of it.

    `on_progress(done, total)` is called in the calling thread at most ten times a second, in
    bytes; `total` is 0 where the server does not tell it.

    The transfer runs in a thread of its own: neither a name lookup nor a header that comes byte
    by byte obeys a socket's timeout, so only giving up on the thread bounds the whole.

    Raises:
        DownloadError: the server, the network or a limit is in the way.
        OSError: `target` cannot be written.
    """
    counter = _Counter()
    outcome: Future[None] = Future()
    abandoned = threading.Event()

    def work() -> None:
        try:
            _transfer(url, target, max_bytes, limits, counter, abandoned)
            outcome.set_result(None)
        except Exception as error:  # handed to the caller, who raises it
            outcome.set_exception(error)

    end = time.monotonic() + limits.total_seconds
    threading.Thread(target=work, name="download", daemon=True).start()
    try:
        while not wait([outcome], timeout=_PROGRESS_SECONDS).done:
            if time.monotonic() >= end:
                raise DownloadError(
                    f"not done after {limits.total_seconds:g} s ({counter.done:,} bytes came)",
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
    # A verified cache needs no HTTP: do not make every trainer pay 0.2 s for the import.
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
                    f"{counter.total:,} bytes are announced, at most {max_bytes:,} are right",
                    unusable=False,
                )
            # iter_raw: the file is gzip itself, and the transport must not unpack it.
            for chunk in response.iter_raw():
                if abandoned.is_set():
                    return
                counter.done += len(chunk)
                if counter.done > max_bytes:
                    raise DownloadError(
                        f"sends more than the {max_bytes:,} bytes that are right",
                        unusable=False,
                    )
                target.write(chunk)
    except (httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol) as error:
        raise DownloadError(f"cannot connect: {error}", unusable=True) from error
    except httpx.ConnectTimeout as error:
        raise DownloadError(
            f"no connection within {limits.connect_seconds:g} s", unusable=True
        ) from error
    except httpx.TimeoutException as error:
        raise DownloadError(
            f"silent for {limits.read_seconds:g} s ({counter.done:,} bytes came)",
            unusable=True,
        ) from error
    except httpx.TooManyRedirects as error:
        raise DownloadError(f"more than {limits.redirects} redirects", unusable=True) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DownloadError(
            f"broken off: {str(error) or type(error).__name__}", unusable=False
        ) from error


def _content_length(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
