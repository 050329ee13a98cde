"""Slow, silent, many and hostile clients of a server with the program's protocol."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnn_pipeline.services import connections
from tests.champion.server.standin import serving
from tests.running import DEADLINE, wait_until

LIMIT = 0.4
HEAD = b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\n"
GET = b"GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
LARGE = 64 * 2**20  # more than a socket's buffers hold


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Echoes the length of a body; `/large` answers much, `/rude` reads nothing, `/busy` waits."""
    if scope["type"] == "lifespan":
        return
    content = b"x" * LARGE if scope["path"] == "/large" else b"0"
    if scope["path"] == "/busy":
        await asyncio.sleep(1.0)
    elif scope["path"] != "/rude":
        length, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            length += len(message["body"])
            more = message["more_body"]
        if scope["path"] != "/large":
            content = str(length).encode()
    headers = [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@dataclass(frozen=True)
class Target:
    port: int
    server: uvicorn.Server

    def connect(self, sent: bytes = b"") -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
        client.sendall(sent)
        return client

    def answers(self) -> bool:
        address = f"http://127.0.0.1:{self.port}/echo"
        return httpx.post(address, content=b"12", trust_env=False, timeout=DEADLINE).text == "2"

    @property
    def open(self) -> int:
        return len(self.server.server_state.connections)


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    monkeypatch.setattr(connections, "SECONDS", dict.fromkeys(connections.SECONDS, LIMIT))
    monkeypatch.setattr(connections, "_LOOK_SECONDS", 0.05)
    with serving(app) as (port, server):
        yield Target(port, server)


def rest(client: socket.socket) -> bytes:
    """All that still comes until the server closes."""
    received = b""
    with suppress(ConnectionError):
        while part := client.recv(2**20):
            received += part
    return received


def status_of(client: socket.socket) -> int:
    """Of the next answer, which has a short body."""
    received = b""
    while not received.partition(b"\r\n\r\n")[2]:
        part = client.recv(1000)
        assert part, f"closed after {received!r}"
        received += part
    return int(received.split()[1])


def refusal(client: socket.socket) -> tuple[int, dict[str, str]]:
    head, _, body = rest(client).partition(b"\r\n\r\n")
    assert b"application/json" in head.lower() and b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)


def drip(client: socket.socket, part: bytes, pause: float) -> Callable[[], None]:
    """Send `part` again and again; returns what waits until the server has had enough."""

    def send() -> None:
        with suppress(OSError):
            while True:
                client.sendall(part)
                time.sleep(pause)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return lambda: thread.join(DEADLINE)


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (HEAD, b""), (HEAD, b"a: b\r\n"), (b"P", b""), (b"", b"x"),
        (HEAD + b"Content-Length: 90000\r\n\r\n", b""),
        (HEAD + b"Content-Length: 90000\r\n\r\n", b"x"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["half headers", "headers drop by drop", "a letter", "letter by letter", "no body",
         "a body byte by byte", "chunk by chunk"],
)  # fmt: skip
def test_who_does_not_come_to_the_point_is_refused(
    target: Target, begun: bytes, more: bytes
) -> None:
    with target.connect(begun) as client:
        end = drip(client, more, 0.05) if more else lambda: None
        status, content = refusal(client)
        end()
    assert status == 408
    assert "must arrive within 0 s" in content["message"]
    assert target.answers()


def test_who_says_nothing_is_closed_without_a_word(target: Target) -> None:
    with target.connect() as client:
        assert rest(client) == b""


def test_a_body_that_moves_may_take_longer(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SECONDS", dict.fromkeys(connections.SECONDS, 1.0))
    monkeypatch.setattr(connections, "MOVED_BYTES", 100)
    with target.connect(HEAD + b"Content-Length: 2000\r\n\r\n") as client:
        for _ in range(20):
            client.sendall(b"x" * 100)
            time.sleep(0.1)
        assert status_of(client) == 200


def test_a_connection_that_is_used_stays_open(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look may find it waiting for headers, but of another request."""
    monkeypatch.setattr(connections, "SECONDS", dict.fromkeys(connections.SECONDS, 1.0))
    end = time.monotonic() + 4
    with target.connect() as client:
        while time.monotonic() < end:
            client.sendall(GET)
            assert status_of(client) == 200
            time.sleep(0.2)


def test_a_body_without_an_end_is_not_read_for_ever(target: Target) -> None:
    begun = b"POST /rude HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    with target.connect(begun) as client:
        end = drip(client, b"1000\r\n" + b"x" * 4096 + b"\r\n", 0.01)
        assert rest(client).startswith(b"HTTP/1.1 200")
        end()
    wait_until(lambda: target.open == 0, "the end of the connection")


def test_an_answer_that_is_not_read_is_given_up(target: Target) -> None:
    request = b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with ExitStack() as stack:
        clients = [stack.enter_context(target.connect(request)) for _ in range(2)]
        clients[0].recv(1000)
        wait_until(lambda: target.open == 0, "the end of both connections")
        assert len(rest(clients[0])) < LARGE
    assert target.answers()


def test_an_answer_that_is_read_slowly_arrives(target: Target) -> None:
    with target.connect(b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") as client:
        received = 0
        while received < LARGE:
            received += len(client.recv(4 * 2**20))
            time.sleep(0.02)


def test_halves_of_requests_make_room_for_whole_ones(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SECONDS", dict.fromkeys(connections.SECONDS, DEADLINE))
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 20)
    monkeypatch.setattr(target.server.config, "timeout_keep_alive", DEADLINE)
    body = HEAD + b"Content-Length: 9\r\n\r\n"
    with ExitStack() as stack:
        faithful = stack.enter_context(target.connect(GET))
        assert status_of(faithful) == 200
        first = [stack.enter_context(target.connect((HEAD, body)[n % 2])) for n in range(10)]
        opened: Any = target.server.server_state.connections
        wait_until(
            lambda: sum(bool(c.cycle or c.conn.trailing_data[0]) for c in opened) == 11,
            "ten halves that the server has read",
        )
        for _ in range(40):
            stack.enter_context(target.connect(HEAD))
        assert target.answers()
        assert target.open <= 20
        for half in first:
            answer = rest(half)
            assert answer.startswith(b"HTTP/1.1 503") and b"Retry-After: 1" in answer
            assert b'"message": "20 connections are open; retry in a second"' in answer
        faithful.sendall(GET)  # older than all others, but it has asked before
        assert status_of(faithful) == 200


def test_where_all_are_busy_the_next_is_asked_to_come_back(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    with ExitStack() as stack:
        busy = [
            stack.enter_context(target.connect(GET.replace(b"echo", b"busy"))) for _ in range(3)
        ]
        wait_until(lambda: len(target.server.server_state.tasks) == 3, "three requests")
        with target.connect() as client:
            answer = rest(client)
        assert answer.startswith(b"HTTP/1.1 503") and b"Retry-After: 1" in answer
        for client in busy:
            assert status_of(client) == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\nboots\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\na\x00b: c\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n", HEAD + b"Content-Length: 1e9\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n", HEAD + b"x: " + b"y" * 40_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 30 + b"\r\n",
        HEAD.replace(b"echo", b"rude") + b"Transfer-Encoding: chunked\r\n\r\n0;" + b"x" * 40_000,
    ],
)  # fmt: skip
def test_what_is_not_http_gets_a_reason_and_leaves_no_trace(
    target: Target, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with target.connect(sent) as client:
        answer = rest(client)
    # One that was answered before its fault came has its answer.
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501", b"HTTP/1.1 200")) or not answer
    if b"/rude" not in sent:
        assert b'"the request must be valid HTTP/1.1' in answer
    assert target.answers()
    assert [record for record in caplog.records if record.exc_info] == []


PARTS = st.sampled_from([GET, HEAD, b"\r\n", b"Content-Length: 3\r\n\r\n", b"abc", b"0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"5\r\nhello\r\n", b"OPTIONS * HTTP/1.1\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n", b"HEAD /rude HTTP/1.0\r\n", b"GET http://[/ HTTP/1.1\r\n",
])  # fmt: skip


@given(st.lists(st.one_of(PARTS, st.binary(max_size=8)), min_size=1, max_size=12))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_bytes_bring_it_down(
    target: Target, caplog: pytest.LogCaptureFixture, parts: list[bytes]
) -> None:
    with target.connect() as client:
        for part in parts:
            with suppress(ConnectionError):
                client.sendall(part)
        with suppress(OSError):
            client.shutdown(socket.SHUT_WR)
        rest(client)
    assert target.answers()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_the_end_answers_what_is_computed_and_waits_for_no_slow_client(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SECONDS", dict.fromkeys(connections.SECONDS, DEADLINE))
    monkeypatch.setattr(connections, "STOPPING_SECONDS", 0.2)
    with (
        target.connect(GET.replace(b"echo", b"busy")) as busy,
        target.connect(HEAD + b"Content-Length: 9\r\n\r\nx") as half,
        target.connect(HEAD) as headers,
        target.connect() as silent,
    ):
        wait_until(lambda: target.open == 4, "four connections")
        begin = time.monotonic()
        target.server.should_exit = True
        assert refusal(half)[0] == 503
        assert rest(busy).startswith(b"HTTP/1.1 200")
        assert rest(headers) == rest(silent) == b""
        with pytest.raises(OSError, match="refused"):
            target.connect()
        assert time.monotonic() - begin < 8
