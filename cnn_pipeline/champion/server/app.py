"""The HTTP application: paths, limits, responses and errors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import numpy as np
import numpy.typing as npt
from mlflow import __version__ as MLFLOW_VERSION
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cnn_pipeline.champion.server import request as bodies
from cnn_pipeline.champion.server.batching import Batcher, Overloaded
from cnn_pipeline.champion.server.body import MAX_BODY_BYTES, Room, read_body
from cnn_pipeline.champion.server.door import Door, error
from cnn_pipeline.champion.server.follower import Follower, LiveModel
from cnn_pipeline.champion.server.page import page
from cnn_pipeline.champion.server.request import MAX_IMAGES, Images, Refused


def make_app(follower: Follower, token: str | None = None) -> Starlette:
    """The application for a follower of the champion; it runs the follower and a batcher.

    With a token, every path but `/` needs it.
    """
    batcher = Batcher()
    room = Room()
    shown = page(MAX_BODY_BYTES, MAX_IMAGES)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        batching = asyncio.create_task(batcher.run())
        with follower.following():
            yield
        batching.cancel()
        await asyncio.gather(batching, return_exceptions=True)

    async def root(_: Request) -> Response:
        return shown

    async def ping(_: Request) -> Response:
        return Response("\n", media_type="application/json", headers=_headers(follower.current))

    async def health(_: Request) -> Response:
        problem = follower.problem
        content = {
            "status": "degraded" if problem else "ok",
            "problem": problem or None,
            "model": _model(follower.current),
        }
        return JSONResponse(content, headers=_headers(follower.current))

    async def version(_: Request) -> Response:
        # MLflow's server, too, sends the bare number as JSON.
        return Response(MLFLOW_VERSION, media_type="application/json")

    async def invocations(request: Request) -> Response:
        bodies.check_content_type(request.headers.get("content-type"))
        with_pixels = bodies.pixels_wanted(request.query_params.get("pixels"))
        with room.share() as take:
            body = await read_body(request, take)
            with batcher.slot():
                model = follower.current
                images = await batcher.parse(
                    bodies.parse,
                    body,
                    model.version.image_shape,
                    model.version.preparation,
                )
                probabilities = await batcher.predict(model, images.pixels)
        content = answer(model, images, probabilities)
        if with_pixels:
            content["pixels"] = images.pixels.tolist()
        return JSONResponse(content, headers=_headers(model))

    app = Starlette(
        routes=[
            Route("/", root, methods=["GET"]),
            Route("/ping", ping, methods=["GET"]),
            Route("/health", health, methods=["GET"]),
            Route("/version", version, methods=["GET"]),
            Route("/invocations", invocations, methods=["POST"]),
        ],
        middleware=[Middleware(Door, token=token)],
        exception_handlers={
            Refused: _refused,
            Overloaded: _overloaded,
            ClientDisconnect: _gone,
            HTTPException: _no_such_path,
            Exception: _failed,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
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


def _model(model: LiveModel) -> dict[str, Any]:
    version = model.version
    return {
        "name": version.name,
        "version": version.version,
        "run_id": version.run_id,
        "image_shape": version.image_shape,
        "class_names": version.class_names,
    }


def _headers(model: LiveModel) -> dict[str, str]:
    version = model.version
    return {
        "X-Model-Name": version.name,
        "X-Model-Version": str(version.version),
        "X-Model-Run": version.run_id,
    }


async def _refused(_: Request, reason: Exception) -> Response:
    assert isinstance(reason, Refused)
    return error(reason.status, str(reason))


async def _overloaded(_: Request, reason: Exception) -> Response:
    return error(HTTPStatus.SERVICE_UNAVAILABLE, str(reason), {"Retry-After": "1"})


async def _gone(_: Request, reason: Exception) -> Response:
    return error(HTTPStatus.BAD_REQUEST, "the connection was closed within the body")


async def _no_such_path(request: Request, reason: Exception) -> Response:
    assert isinstance(reason, HTTPException)
    paths = "POST /invocations, GET /, /ping, /health and /version"
    received = f"{request.method} {request.scope['path']}"
    return error(
        HTTPStatus(reason.status_code),
        f"the request must be one of {paths}, received {received[:200]!r}",
        reason.headers,
    )


async def _failed(_: Request, reason: Exception) -> Response:
    return error(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; see the log of the server")
