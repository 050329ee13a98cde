"""A tiny catalog, and HTTP servers on loopback that behave well or badly."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from cnn_pipeline.base.errors import DataError
from cnn_pipeline.data.catalog import Catalog, CatalogFile
from cnn_pipeline.data.fetching.download import Limits
from cnn_pipeline.data.fetching.fetch import fetch
from cnn_pipeline.data.fetching.sources import Mirror


def idx(values: np.ndarray) -> bytes:
    """`values` as an IDX file."""
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, dtype=">u4").tobytes()
    return header + values.astype(np.uint8).tobytes()


@dataclass(frozen=True)
class Tiny:
    """A catalog of 300 + 20 random images of two classes, and its payloads by file name."""

    catalog: Catalog
    payloads: dict[str, bytes]

    def folder(self, path: Path) -> Path:
        """Write the packed files into `path`."""
        path.mkdir(parents=True, exist_ok=True)
        for name, payload in self.payloads.items():
            (path / f"{name}.gz").write_bytes(gzip.compress(payload))
        return path


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    rng = np.random.default_rng(0)
    payloads = {
        "train-images": idx(rng.integers(0, 256, (300, 20, 20))),
        "train-labels": idx(np.arange(300) % 2),
        "test-images": idx(rng.integers(0, 256, (20, 20, 20))),
        "test-labels": idx(np.arange(20) % 2),
    }
    files = [
        CatalogFile(name, len(payload), hashlib.sha256(payload).hexdigest())
        for name, payload in payloads.items()
    ]
    return Tiny(Catalog("tiny", ("a", "b"), 300, 20, *files), payloads)


@dataclass
class Server:
    """An HTTP server whose `behave(handler, payload)` answers each GET of a known file."""

    url: str
    requests: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    half_sent: threading.Event = field(default_factory=threading.Event)

    def mirror(self, name: str = "mirror", limits: Limits | None = None) -> Mirror:
        """This server as a source."""
        return Mirror(name, self.url, limits or Limits())


class Handler(BaseHTTPRequestHandler):
    """One request; a subclass says which server it belongs to and how it behaves."""

    def answer(
        self, body: bytes, length: int | None = None, status: int = 200, **headers: str
    ) -> None:
        """Send `body`, announcing `length` bytes (default: the truth)."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


Behaviour = Callable[[Handler, bytes, Server], None]


def serve_well(handler: Handler, payload: bytes, server: Server) -> None:
    handler.answer(gzip.compress(payload))


@pytest.fixture
def serve(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Behaviour], Server]]:
    """Start servers; they end with the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running: list[tuple[ThreadingHTTPServer, Server]] = []

    def start(behave: Behaviour = serve_well) -> Server:
        class OneServersHandler(Handler):
            def do_GET(self) -> None:
                name = self.path.strip("/").removesuffix(".gz")
                record.requests.append(name)
                try:
                    behave(self, tiny.payloads[name], record)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

        http = ThreadingHTTPServer(("127.0.0.1", 0), OneServersHandler)
        http.daemon_threads = True
        http.block_on_close = False
        record = Server(f"http://127.0.0.1:{http.server_port}/")
        threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        running.append((http, record))
        return record

    yield start
    for http, record in running:
        record.stopping.set()
        http.shutdown()
        http.server_close()


@pytest.fixture(scope="session")
def real_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the real Fashion-MNIST, fetched through the default sources."""
    cache = tmp_path_factory.mktemp("cache with ünicode")
    try:
        fetch(cache)
    except DataError as error:
        pytest.skip(f"no source of the real files is reachable: {error}")
    return cache
