"""Ports on the loopback address, and servers that answer there."""

from __future__ import annotations

import socket
import subprocess
import time

from cnn_pipeline.services.processes import Patience

HOST = "127.0.0.1"
# uvicorn's option `--http`: the protocol with limits, by name, because its import takes time.
UVICORN_HTTP = "cnn_pipeline.services.connections:Connection"


def free_port() -> int:
    """A port that nothing uses at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def is_healthy(address: str) -> bool:
    """Whether a server answers at `address`/health with status 200."""
    import httpx

    try:
        return httpx.get(f"{address}/health", timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def wait_until_healthy(address: str, server: subprocess.Popen[bytes], seconds: float) -> bool:
    """Block until a server answers.

    Returns False if its process ends, or makes no progress for some seconds.
    """
    patience = Patience(server.pid, seconds)
    while server.poll() is None and not patience.over:
        if is_healthy(address):
            return True
        time.sleep(0.05)
    return False
