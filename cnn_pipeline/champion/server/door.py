"""What each request must have before anything else looks at it: a host's name and a token."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Protects against DNS rebinding: a web page must not reach the server under its own host name.
ALLOWED_HOSTS = ("127.0.0.1", "localhost")

# MLflow's own error codes, which its clients read.
_ERROR_CODES = {
    HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED",
    HTTPStatus.NOT_FOUND: "ENDPOINT_NOT_FOUND",
    HTTPStatus.SERVICE_UNAVAILABLE: "TEMPORARILY_UNAVAILABLE",
    HTTPStatus.INTERNAL_SERVER_ERROR: "INTERNAL_ERROR",
}


def error(status: HTTPStatus, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    """A response in MLflow's format of errors."""
    code = _ERROR_CODES.get(status, "BAD_REQUEST")
    return JSONResponse({"error_code": code, "message": reason}, status, headers=headers)


class Door:
    """ASGI middleware that lets a request in, or refuses it.

    `Host` must be a name of this machine. With a token, all but the page at `/` need it.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope["path"], Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        answered = False

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:  # the server ends, and has waited long enough
            if answered:
                raise
            stops = error(HTTPStatus.SERVICE_UNAVAILABLE, "the server stops", {"Retry-After": "1"})
            await stops(scope, receive, send)

    def _refusal(self, path: str, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if host.rsplit(":", 1)[0].lower() not in ALLOWED_HOSTS:
            return error(
                HTTPStatus.BAD_REQUEST,
                f"the Host header must be {' or '.join(ALLOWED_HOSTS)}, received {host[:80]!r}",
            )
        if self._token is None or path == "/":
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # In constant time, so that answers do not tell how much of a guess is right.
        right = secrets.compare_digest(given.strip().encode(), self._token)
        if right and scheme.lower() == "bearer":
            return None
        return error(
            HTTPStatus.UNAUTHORIZED,
            "this server needs the header 'Authorization: Bearer TOKEN' with the token that it was "
            f"started with, received {'another' if scheme else 'none'}",
            {"WWW-Authenticate": 'Bearer realm="cnn-pipeline serve"'},
        )
