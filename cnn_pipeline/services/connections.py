"""uvicorn's HTTP protocol with limits on connections and on slow clients.

uvicorn limits the time between two requests only. A client that sends half a request, or does not
read its answer, may keep a connection for ever. `Connection` gives every wait for a client an end,
and bounds how many connections are open. All servers here use it (`loopback.UVICORN_HTTP`).
"""

from __future__ import annotations

import asyncio
import json
import resource
from contextlib import suppress
from http import HTTPStatus
from typing import Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

Wait = Literal["nothing", "headers", "body", "end of body", "answer read"]

# The longest wait in seconds. A body or an answer may take longer while it moves.
SECONDS: dict[Wait, float] = {"headers": 15, "body": 15, "end of body": 5, "answer read": 15}
# What a body or an answer must move by in that time.
MOVED_BYTES = 16 * 2**10
# Once the server stops, a client gets no more than this.
STOPPING_SECONDS = 2
MAX_CONNECTIONS = 512
# So many at once, because finding them takes a millisecond.
_EVICTED = 16
_LOOK_SECONDS = 0.5

_CODES = {HTTPStatus.SERVICE_UNAVAILABLE: "TEMPORARILY_UNAVAILABLE"}


def max_connections() -> int:
    """`MAX_CONNECTIONS`, or half of the files that this process may open if that is less."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if files == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, files // 2)


class Connection(H11Protocol):
    """A connection whose client is waited for a limited time.

    Where too many are open, those whose clients have been waited for longest make room: clients
    that send whole requests are answered, however many others send halves.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._received = 0
        self._answered = False
        self._stopping = False
        self._wait: Wait = "headers"
        self._since = self.loop.time()
        self._moved = 0
        self._next_look = self.loop.call_later(_LOOK_SECONDS, self._look)
        if len(self.connections) > max_connections():
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._next_look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._answered = True
        self._wait = "nothing"  # the next wait is another, even if it looks the same
        super().on_response_complete()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._next_look.cancel()
        super().handle_websocket_upgrade(event)

    def shutdown(self) -> None:
        self._stopping = True
        with suppress(h11.LocalProtocolError):  # a connection that is closing already
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        self._refuse(
            HTTPStatus.BAD_REQUEST,
            "the request must be valid HTTP/1.1 with one Host header and at most 16 KiB of headers",
        )

    def waits_for(self) -> Wait:
        """What the server waits for the client to do."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.flow.write_paused or (not answering and self.transport.get_write_buffer_size()):
            return "answer read"
        if answering:
            return "body" if self.cycle.more_body and not self.flow.read_paused else "nothing"
        return "end of body" if self.conn.their_state is h11.SEND_BODY else "headers"

    def _look(self) -> None:
        """Give up a client that has been waited for too long."""
        self._next_look = self.loop.call_later(_LOOK_SECONDS, self._look)
        now, wait = self.loop.time(), self.waits_for()
        moved = {"body": self._received, "answer read": self.transport.get_write_buffer_size()}
        at = moved.get(wait, 0)
        if wait != self._wait or abs(at - self._moved) >= MOVED_BYTES:
            self._wait, self._since, self._moved = wait, now, at
        if wait == "nothing":
            return
        if self._stopping and now - self._since > STOPPING_SECONDS:
            self._give_up(HTTPStatus.SERVICE_UNAVAILABLE, "the server stops; try again later")
        elif now - self._since > SECONDS[wait]:
            rule = f"within {SECONDS[wait]:.0f} s"
            if wait == "body":
                rule += f", or {MOVED_BYTES >> 10} KiB of it each {SECONDS[wait]:.0f} s"
            self._give_up(HTTPStatus.REQUEST_TIMEOUT, f"the {wait} must arrive {rule}")

    def _make_room(self) -> None:
        message = f"{max_connections()} connections are open; retry in a second"
        waiting = [
            each
            for each in self.connections
            if isinstance(each, Connection) and each is not self and each.waits_for() != "nothing"
        ]
        if not waiting:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, message)
            return
        # One that has had an answer is likelier to be a program that will ask again.
        waiting.sort(key=lambda each: (each._answered, each._since))
        for oldest in waiting[:_EVICTED]:
            oldest._give_up(HTTPStatus.SERVICE_UNAVAILABLE, message)
            self.connections.discard(oldest)  # now, as many may come before it is gone

    def _give_up(self, status: HTTPStatus, message: str) -> None:
        """Close, with an answer where a request has begun."""
        wait = self.waits_for()
        if wait == "body" or (wait == "headers" and self.conn.trailing_data[0]):
            self._refuse(status, message)
        elif wait == "answer read":
            self.transport.abort()
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer in place of the application, as MLflow words errors, and close."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        content = {"error_code": _CODES.get(status, "BAD_REQUEST"), "message": message}
        body = json.dumps(content).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        headers += [("Connection", "close")]
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers += [("Retry-After", "1")]
        answer = h11.Response(status_code=status, headers=headers, reason=status.phrase.encode())
        for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event))
        self.transport.close()
