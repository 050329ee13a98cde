"""Run the server: port, signals, start and end."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

import uvicorn

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.find_model import model_to_serve
from cnn_pipeline.champion.register import open_registry
from cnn_pipeline.champion.server.app import make_app
from cnn_pipeline.champion.server.follower import Follower
from cnn_pipeline.services.connections import Connection
from cnn_pipeline.services.loopback import HOST

# Seconds for requests in progress to end. The whole end takes at most 10 s.
_GRACE_SECONDS = 7


def serve(
    home: Home, port: int, name: str | None, tell: Callable[[str], None], token: str | None = None
) -> None:
    """Serve the champion of a registered model on loopback until SIGTERM.

    Args:
        home: whose registry to read.
        port: 0 takes a free one.
        name: the registered model; None chooses it (`model_to_serve`).
        tell: called with the address when the server is ready, and with a line when the champion
            changes, or the model was chosen that is not the usual one.
        token: what requests must carry, if anything.

    Raises:
        UserError: the port is in use, or there is no champion that can be loaded.
        KeyboardInterrupt: Ctrl-C, after the requests in progress were answered.
    """
    with contextlib.suppress(_Terminated), _sigterm_raises(), _bound(port) as listener:
        registry = open_registry(home)
        if name is None:
            name, why = model_to_serve(registry)
            if why:
                tell(why)
        follower = Follower(registry, name, tell)
        _Server(follower, listener, tell, token).run(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn's server, which reports when it is ready."""

    def __init__(
        self,
        follower: Follower,
        listener: socket.socket,
        tell: Callable[[str], None],
        token: str | None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                make_app(follower, token),
                loop="asyncio",
                http=Connection,
                ws="none",
                log_level="error",  # of its clients' faults only they are told
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self._follower = follower
        self._listener = listener
        self._tell = tell

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        port = self._listener.getsockname()[1]
        self._tell(
            f"{self._follower.current.version.shown} has a page at http://{HOST}:{port}/ and "
            f"answers programs at http://{HOST}:{port}/invocations"
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._follower.end()
        await super().shutdown(sockets)


class _Terminated(BaseException):
    """SIGTERM, which is not an error."""


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Make SIGTERM end the process like Ctrl-C, even while the model loads."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _bound(port: int) -> Iterator[socket.socket]:
    """A bound loopback socket that does not listen yet, so early connections are refused.

    Bound before the model is loaded, which takes seconds, to report a port in use at once.
    """
    # With an explicit protocol asyncio sets TCP_NODELAY; otherwise each small response waits 40 ms
    # for the client's delayed acknowledgement.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"port {port} on {HOST} must be free, but: {error.strerror}. Choose another with "
                "--port N."
            ) from None
        yield listener
