"""Real MLflow and Prefect servers that a test kills, freezes and starts again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cnn_pipeline.services.loopback import HOST, free_port, wait_until_healthy
from cnn_pipeline.services.mlflow_ui import server_environment
from tests.flows.test_flow import environment
from tests.running import DEADLINE, descendants


@dataclass
class Server:
    """A server at one address, whose processes come and go."""

    words: Sequence[str]
    address: str
    """Where it answers; `/health` follows."""
    environ: Mapping[str, str]
    log: Path
    family: list[psutil.Process] = field(default_factory=list)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *self.words], env=dict(self.environ), stdout=output,
                stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        assert wait_until_healthy(self.address, process, DEADLINE), self.log.read_text()
        leader = psutil.Process(process.pid)
        self.family = [leader, *leader.children(recursive=True)]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        for process in self.family:
            if process.is_running():
                process.send_signal(number)

    def kill(self) -> None:
        """End it at once."""
        self.signal(signal.SIGKILL)
        psutil.wait_procs(self.family, timeout=10)

    def freeze(self) -> None:
        """Keep its sockets open, and answer nothing."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on with what it has received meanwhile."""
        self.signal(signal.SIGCONT)


@contextmanager
def mlflow_server(folder: Path, *more: str, store: str = "") -> Iterator[Server]:
    """MLflow's server with SQLite or the database `store`, and artifacts that it serves."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    words = [
        "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
        "--artifacts-destination", str(folder / "artifacts"), *more,
    ]  # fmt: skip
    store = store or f"sqlite:///{folder}/mlflow.db"
    environ = {**environment(folder), **server_environment(store, None)}
    yield from _running(Server(words, f"http://{HOST}:{port}", environ, folder / "mlflow.log"))


@contextmanager
def prefect_server(folder: Path, store: str = "") -> Iterator[Server]:
    """Prefect's server with SQLite or the database `store`."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    words = ["prefect", "server", "start", "--host", HOST, "--port", str(port)]
    environ = {
        **environment(folder),
        "PREFECT_API_URL": f"http://{HOST}:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    if store:
        environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = store
    yield from _running(Server(words, f"http://{HOST}:{port}/api", environ, folder / "prefect.log"))


def _running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.thaw()
        server.kill()


def temporary_prefect(command_pid: int) -> list[int]:
    """Ids of the Prefect server that a command has started for itself."""
    server = "cnn_pipeline.services.temporary_prefect"
    return [pid for pid, command in descendants(command_pid).items() if server in command]


def kill(pids: Sequence[int]) -> None:
    """End processes that a command under test has started."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
