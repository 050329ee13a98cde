"""A served model without TensorFlow: the follower and the server of one in a thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import uvicorn

from cnn_pipeline.champion.registry import ModelVersion
from cnn_pipeline.champion.server.follower import LiveModel
from cnn_pipeline.services.connections import Connection
from tests.running import DEADLINE, wait_until

CLASSES = ("bag", "boot", "shirt", "coat")
SHAPE = (4, 4, 1)


def predict(pixels: np.ndarray) -> np.ndarray:
    """uint8 `[n, 4, 4, 1]` to probabilities `[n, 4]`: the share of each row's sum."""
    rows = pixels.astype(np.float32).sum(axis=(2, 3)) + 1
    return rows / rows.sum(axis=1, keepdims=True)


VERSION = ModelVersion(
    "things-cnn", 7, "r7", "m7", "0" * 64, ("champion",), {}, "things", "0" * 64, CLASSES, SHAPE
)


class Standing:
    """A follower whose champion never changes."""

    problem = ""
    current = LiveModel(VERSION, SimpleNamespace(predict_on_batch=predict))

    def following(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


@contextlib.contextmanager
def serving(app: Any) -> Iterator[tuple[int, uvicorn.Server]]:
    """An ASGI application on a free port with the program's protocol: the port and the server."""
    server = uvicorn.Server(
        uvicorn.Config(app, http=Connection, ws="none", log_level="error", loop="asyncio")
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started, "the start")
        try:
            yield listener.getsockname()[1], server
        finally:
            server.should_exit = True
            thread.join(DEADLINE)
            assert not thread.is_alive()
