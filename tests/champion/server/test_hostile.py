"""Whatever a request holds, it gets an answer or a clear refusal, and the log stays empty."""

from __future__ import annotations

import base64
import json
import logging
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cnn_pipeline.champion.server.app import make_app
from cnn_pipeline.champion.server.request import (
    Refused,
    check_content_type,
    parse,
    pixels_wanted,
)
from cnn_pipeline.data.preparation import FASHION
from tests.champion.server.standin import SHAPE, Standing, predict, serving
from tests.champion.server.test_request import png

IMAGE = np.arange(16, dtype=np.uint8).reshape(SHAPE)
FILE = base64.b64encode(png(IMAGE)).decode()
JSON = {"content-type": "application/json"}

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.integers(0, 255) | st.floats() | st.text()
    | st.sampled_from([FILE, FILE[:40], "AAAA", "\ud800", "%s%n", "../../etc/passwd", "\x00"])
)  # fmt: skip
KEYS = st.sampled_from(["inputs", "instances", "image", "b64", "params"]) | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=40,
)
# Almost right ones go further into the parser than any document.
ALMOST = st.builds(
    lambda key, rows, more: {key: rows, **more},
    st.sampled_from(["inputs", "instances"]),
    st.lists(st.just(IMAGE.tolist()) | st.just({"b64": FILE}) | VALUES, max_size=4),
    st.dictionaries(KEYS, LEAVES, max_size=1),
)


def check(body: bytes) -> None:
    """It is images, or a refusal that a response can hold."""
    refused: Refused | None = None
    try:
        images = parse(body, SHAPE, FASHION)
    except Refused as refusal:
        refused = refusal
    if refused is not None:
        assert 400 <= refused.status < 500
        assert 0 < len(str(refused)) < 2000
        str(refused).encode()
        return
    assert images.pixels.dtype == np.uint8 and images.pixels.shape[1:] == SHAPE
    assert len(images.pixels) > 0
    assert len(images.notes) in (0, len(images.pixels))


@given(VALUES | ALMOST)
@settings(deadline=None)
def test_any_document_is_images_or_refused(document: Any) -> None:
    check(json.dumps(document).encode())


@given(st.binary(max_size=60), st.integers(0, 2000), st.booleans())
@settings(deadline=None)
@example(b'{"inputs":' + b"[" * 100_000, 0, False)
@example(b'{"inputs":' * 100_000, 0, False)
@example(b'{"inputs": [[[' + b"9" * 5000 + b"]]]}", 0, False)
@example(b'{"inputs": [[[1e999]]]}', 0, False)
@example(b'{"inputs": [[[-Infinity]]]}', 0, False)
@example(b'{"inputs": ["\\ud800"]}', 0, False)
@example(b'{"inputs": [' + b"[]," * 100_000 + b"[]]}", 0, False)
@example(b"\xef\xbb\xbf{}", 0, False)
@example(b"", 0, False)
def test_any_bytes_are_images_or_refused(noise: bytes, place: int, replaced: bool) -> None:
    right = json.dumps({"inputs": [{"b64": FILE}, {"b64": FILE}]}).encode()
    check(noise)
    check(right[:place] + noise + right[place + replaced * len(noise) :])
    damaged = bytearray(base64.b64decode(FILE))
    at = place % len(damaged)
    damaged[at : at + len(noise)] = noise
    check(json.dumps({"inputs": [base64.b64encode(damaged).decode()]}).encode())


@given(st.text(max_size=40))
@settings(deadline=None)
def test_any_header_and_query_are_taken_or_refused(text: str) -> None:
    for call in (check_content_type, pixels_wanted):
        with suppress(Refused):
            call(text)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    standing: Any = Standing()
    with serving(make_app(standing)) as (port, _):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def client(address: str, caplog: pytest.LogCaptureFixture) -> Iterator[httpx.Client]:
    """Afterwards the server must still answer, and have logged nothing."""
    with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
        yield client
        answer = client.post("/invocations", json={"inputs": [IMAGE.tolist()]}).json()
        np.testing.assert_allclose(answer["predictions"], predict(IMAGE[None]), atol=1e-6)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


PATHS = [
    "/", "/ping", "/health", "/version", "/invocations", "/nothing", "/ping/", "//ping", "/../ping",
    "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/ping/../../etc/passwd", "/%00",
    "/invocations%0d%0aX-Injected:%20yes", "/" + "a" * 5000, "/%ff%fe", "/static/..%5c..%5c",
    "/invocations?pixels=true&pixels=false", "/invocations?pixels=%00", "/?%", "/ping;a=b",
]  # fmt: skip
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "M" * 500]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:40])
def test_every_method_of_every_path_is_answered_or_refused(client: httpx.Client, path: str) -> None:
    for method in METHODS:
        reply = client.request(method, path, content=b"{}", headers=JSON)
        assert reply.status_code in (200, 400, 404, 405), (method, reply.status_code)
        assert "x-injected" not in reply.headers
        if reply.status_code == 405:
            assert set(reply.headers["allow"].split(", ")) in ({"GET", "HEAD"}, {"POST"})
        if reply.status_code != 200 and method != "HEAD":
            assert set(reply.json()) == {"error_code", "message"}
            assert len(reply.json()["message"]) < 500


@pytest.mark.parametrize(
    "line",
    [b"OPTIONS * HTTP/1.1", b"GET http://127.0.0.1/ping HTTP/1.1", b"CONNECT a:443 HTTP/1.1",
     b"GET http://[ HTTP/1.1", b"GET //evil.example/%2e%2e HTTP/1.1", b"GET ?pixels HTTP/1.1",
     b"POST /invocations HTTP/1.0",
     b"GET /ping HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade"],
)  # fmt: skip
def test_odd_requests_get_a_status(client: httpx.Client, line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=60) as raw:
        raw.sendall(line + b"\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = raw.recv(65536)
    assert answer.startswith(b"HTTP/1.1 ") and answer[9:12] in (
        b"200",
        b"400",
        b"404",
        b"405",
        b"415",
    )


@given(VALUES | ALMOST)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_document_gets_a_status(client: httpx.Client, document: Any) -> None:
    reply = client.post("/invocations", content=json.dumps(document), headers=JSON)
    assert reply.status_code in (200, 400, 413)
    assert reply.json()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 415), ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json; charset=utf-16"}, 415),
        ({"content-type": "\xe9" * 3000}, 415), ({"content-type": "multipart/form-data"}, 415),
        (JSON | {"content-encoding": "gzip"}, 200), (JSON | {"expect": "100-continue"}, 200),
        (JSON | {"host": "evil.example"}, 400), (JSON | {"x-forwarded-host": "evil.example"}, 200),
        (JSON | {"cookie": "a" * 10_000}, 200), (JSON | {"accept": "text/html"}, 200),
        (JSON | {"content-length": "9" * 18}, 413), (JSON | {"content-length": "9" * 30}, 400),
    ],
)  # fmt: skip
def test_odd_headers_get_a_status(
    client: httpx.Client, headers: dict[str, str], status: int
) -> None:
    sent = {name: value.encode("latin-1") for name, value in headers.items()}
    body = json.dumps({"inputs": [IMAGE.tolist()]})
    if "content-length" in headers:
        with socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as raw:
            lines = b"".join(b"%s: %s\r\n" % (k.encode(), v) for k, v in sent.items())
            raw.sendall(b"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\n" + lines + b"\r\n{")
            assert raw.recv(1000).startswith(b"HTTP/1.1 %d" % status)
        return
    reply = client.post("/invocations", content=body, headers=sent)
    assert reply.status_code == status
