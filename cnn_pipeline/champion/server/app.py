"""The HTTP application: paths, limits, responses and errors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

import numpy as np
import numpy.typing as npt
from fastapi import FastAPI, Request
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import JSONResponse, Response
from mlflow import __version__ as MLFLOW_VERSION
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from cnn_pipeline.champion.server import request as bodies
from cnn_pipeline.champion.server.batching import Batcher, Overloaded
from cnn_pipeline.champion.server.follower import Follower, LiveModel
from cnn_pipeline.champion.server.request import Images, Refused
from cnn_pipeline.data.picture import convention_for

# About 5,000 images of 28x28 raw pixels as text.
MAX_BODY_BYTES = 16 * 2**20
# A body that is too large is read up to this, because a client that is disconnected while it sends
# may not see the error.
DISCARDED_BYTES = 64 * 2**20
BODY_SECONDS = 30.0

# Protects against DNS rebinding: a web page must not reach the server under its own host name.
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

# MLflow's own error codes, which its clients read.
_ERROR_CODES = {
    HTTPStatus.NOT_FOUND: "ENDPOINT_NOT_FOUND",
    HTTPStatus.SERVICE_UNAVAILABLE: "TEMPORARILY_UNAVAILABLE",
    HTTPStatus.INTERNAL_SERVER_ERROR: "INTERNAL_ERROR",
}


def make_app(follower: Follower) -> FastAPI:
    """The application for a follower of the champion; it runs the follower and a batcher."""
    batcher = Batcher()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        batching = asyncio.create_task(batcher.run())
        with follower.following():
            yield
        batching.cancel()
        await asyncio.gather(batching, return_exceptions=True)

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=ALLOWED_HOSTS, www_redirect=False)

    @app.get("/ping")
    async def ping() -> Response:
        return Response("\n", media_type="application/json", headers=_headers(follower.current))

    @app.get("/health")
    async def health() -> Response:
        problem = follower.problem
        content = {
            "status": "degraded" if problem else "ok",
            "problem": problem or None,
            "model": _model(follower.current),
        }
        return JSONResponse(content, headers=_headers(follower.current))

    @app.get("/version")
    async def version() -> Response:
        # MLflow's server, too, sends the bare number as JSON.
        return Response(MLFLOW_VERSION, media_type="application/json")

    @app.post("/invocations")
    async def invocations(request: Request) -> Response:
        with batcher.slot():
            body = await read_body(request)
            bodies.check_content_type(request.headers.get("content-type"))
            model = follower.current
            images = await asyncio.to_thread(
                bodies.parse, body, model.version.image_shape, convention_for(model.version.dataset)
            )
            probabilities = await batcher.predict(model, images.pixels)
        return JSONResponse(answer(model, images, probabilities), headers=_headers(model))

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return _error(error.status, str(error))

    @app.exception_handler(Overloaded)
    async def overloaded(_: Request, error: Overloaded) -> Response:
        return _error(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": "1"})

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, error: ClientDisconnect) -> Response:
        return _error(HTTPStatus.BAD_REQUEST, "the connection was closed within the body")

    @app.exception_handler(HTTPException)
    async def no_such_path(request: Request, error: HTTPException) -> Response:
        paths = "POST /invocations, GET /ping, /health and /version"
        received = f"{request.method} {request.url.path}"
        reason = f"the request must be one of {paths}, received {received}"
        return _error(HTTPStatus(error.status_code), reason, error.headers)

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; see the log of the server")

    return app


def answer(
    model: LiveModel, images: Images, probabilities: npt.NDArray[np.float32]
) -> dict[str, Any]:
    """Content of a response: MLflow's `predictions`, which are probabilities here, and more.

    Also has the most probable class of each image (`labels`), the version (`model`), and what was
    done to each picture (`notes`).
    """
    names = model.version.class_names
    content: dict[str, Any] = {
        "predictions": probabilities.tolist(),
        "labels": [names[index] for index in probabilities.argmax(axis=1)],
        "model": _model(model),
    }
    if images.notes:
        content["notes"] = images.notes
    return content


async def read_body(request: Request) -> bytes:
    """Read the body.

    Raises:
        Refused: it has more than `MAX_BODY_BYTES`, or takes more than `BODY_SECONDS`.
    """
    announced = request.headers.get("content-length", "")
    announced_bytes = int(announced) if announced.isdecimal() else 0
    received = 0
    chunks: list[bytes] = []
    try:
        async with asyncio.timeout(BODY_SECONDS):
            if announced_bytes <= DISCARDED_BYTES:
                async for chunk in request.stream():
                    received += len(chunk)
                    if received <= MAX_BODY_BYTES:
                        chunks.append(chunk)
                    elif received > DISCARDED_BYTES:
                        break
    except TimeoutError:
        raise Refused(
            f"the body must arrive within {BODY_SECONDS:.0f} s, received {received} bytes",
            HTTPStatus.REQUEST_TIMEOUT,
        ) from None
    if max(received, announced_bytes) > MAX_BODY_BYTES:
        raise Refused(
            f"the body must have at most {MAX_BODY_BYTES} bytes, received "
            f"{max(received, announced_bytes)}: send fewer images per request",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        )
    return b"".join(chunks)


def _model(model: LiveModel) -> dict[str, Any]:
    version = model.version
    return {
        "name": version.name,
        "version": version.version,
        "run_id": version.run_id,
        "class_names": version.class_names,
    }


def _headers(model: LiveModel) -> dict[str, str]:
    version = model.version
    return {
        "X-Model-Name": version.name,
        "X-Model-Version": str(version.version),
        "X-Model-Run": version.run_id,
    }


def _error(status: HTTPStatus, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    code = _ERROR_CODES.get(status, "BAD_REQUEST")
    return JSONResponse({"error_code": code, "message": reason}, status, headers=headers)
