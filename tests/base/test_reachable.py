"""Why a named server does not answer, within seconds and without a library that tries again."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator

import pytest

from cnn_pipeline.base.reachable import short, silence


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


class Missing(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(401)

    def log_message(self, *words: object) -> None:
        pass


def test_any_answer_is_an_answer() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Missing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert silence(f"http://127.0.0.1:{server.server_port}", "/health") == ""
        server.shutdown()


def test_a_server_that_is_down_or_frozen_is_not_waited_for(silent: int) -> None:
    assert "refused" in silence("http://ann:s3cr3t@127.0.0.1:9", "/health")
    assert silence(f"http://127.0.0.1:{silent}/", "/health", 0.2) == "timed out after 0 s"
    assert "refused" in silence("postgresql+psycopg2://u:p@127.0.0.1:9/db")
    assert silence(f"mysql://127.0.0.1:{silent}/db") == ""
    assert silence("https://mlflow.invalid", seconds=5)  # no such name


def test_tls_and_addresses_without_a_server_are_left_to_the_library(silent: int) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Missing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert silence(f"https://127.0.0.1:{server.server_port}") == ""  # speaks no TLS
        server.shutdown()
    for address in ("", "sqlite:////tmp/x.db", "./mlruns", "nonsense://x"):
        assert silence(address) == ""


def test_an_error_in_a_line_without_secrets() -> None:
    assert short(OSError("first http://a:b@c\nsecond")) == "first http://***@c"
    assert short(ValueError()) == "ValueError"
