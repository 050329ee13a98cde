"""A Prefect server for as long as one command runs, where no other is configured.

Prefect would start one by itself, but in the terminal's process group: Ctrl-C would end the
server together with the flow, which could then tell nobody that it was stopped, and would go on
trying. This one has a session of its own and ends when the command's pipe closes, however the
command ended.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from cnn_pipeline.base import events
from cnn_pipeline.base.empty_database import keep_template, place_template
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.files import make_private
from cnn_pipeline.base.startup import collect_rarely
from cnn_pipeline.services.loopback import HOST, UVICORN_HTTP, wait_until_healthy

_DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
_START_SECONDS = 60
_STOP_SECONDS = 10
# A server that dies more often than five times in two minutes is not started again.
_RESTARTS, _RESTARTS_SECONDS = 5, 120.0
_own_addresses: set[str] = set()


class TemporaryServerError(UserError):
    """It does not start."""

    exit_code = 1


def is_temporary(api: str) -> bool:
    """Whether this process has started the server at that address, for itself."""
    return api in _own_addresses


class TemporaryServer:
    """Starts at once in the background; `wait` until it answers, `stop` when done.

    If it dies in between, it is started again. This process listens on its port, so that clients
    wait for it meanwhile instead of being refused.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        """Keep the server's database and log in `folder`, what spares the next one in `cache`."""
        make_private(folder)
        self._cache = cache
        self._database = folder / "prefect.db"
        self._own = _DATABASE not in os.environ  # of another one nothing is known
        self._migrates = (
            self._own
            and not self._database.exists()
            and not place_template(cache, "prefect", self._database)
        )
        self._log_file = folder / "temporary-server.log"
        self._log = self._log_file.open("w", encoding="utf-8")
        self._socket = socket.create_server((HOST, 0))
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}/api"
        _own_addresses.add(self.url)
        self._environ = {
            _DATABASE: f"sqlite+aiosqlite:///{self._database}",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            **os.environ,
            "PREFECT_UI_ENABLED": "0",
            # What Prefect sets for its own temporary server: no services that a single flow has no
            # use for, and settings that are final.
            "PREFECT__SERVER_EPHEMERAL": "1",
            "PREFECT__SERVER_FINAL": "1",
        }
        self._stopped = False
        self._lock = threading.Lock()
        self._process = self._start(knows_blocks=self._own and not self._migrates)
        self._watcher = threading.Thread(target=self._watch, name="prefect-server", daemon=True)

    def _start(self, *, knows_blocks: bool) -> subprocess.Popen[bytes]:
        # A database that was there before knows Prefect's blocks, and no flow here asks for one.
        blocks = {"PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false"} if knows_blocks else {}
        listening = self._socket.fileno()
        return subprocess.Popen(
            [sys.executable, "-m", "cnn_pipeline.services.temporary_prefect", str(listening)],
            pass_fds=[listening],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**self._environ, **blocks},
        )

    def _watch(self) -> None:
        """Start the server again if it dies; refuse its clients if it does so again and again."""
        started: list[float] = []
        while True:
            self._process.wait()
            now = time.monotonic()
            started = [at for at in started if now - at < _RESTARTS_SECONDS]
            with self._lock:
                if self._stopped:
                    return
                if len(started) == _RESTARTS:
                    self._socket.close()
                    return
                started.append(now)
                self._process = self._start(knows_blocks=self._own)
            events.emit(events.Stage("Prefect's temporary server died, and was started again"))

    def wait(self) -> None:
        """Block until the server answers.

        Raises:
            TemporaryServerError: it ended, or did not answer in time.
        """
        if not wait_until_healthy(self.url, self._process, _START_SECONDS):
            raise TemporaryServerError(
                f"the temporary Prefect server must answer at {self.url}, but it ended (status "
                f"{self._process.poll()}) or did nothing for {_START_SECONDS} s; "
                f"read {self._log_file}, and run the command again"
            )
        if self._migrates:  # as empty as it will ever be
            keep_template(self._cache, "prefect", self._database)
        self._watcher.start()

    def stop(self) -> None:
        """End the server."""
        with self._lock:
            self._stopped = True
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._watcher.is_alive():
            self._watcher.join()
        self._socket.close()
        self._log.close()


def main() -> None:
    """Serve until standard input closes."""
    collect_rarely()
    import uvicorn
    from prefect.server.api.server import create_app

    listening = socket.socket(fileno=int(sys.argv[1]))
    server = uvicorn.Server(
        uvicorn.Config(create_app, factory=True, http=UVICORN_HTTP, log_level="error")
    )

    def stop_with_parent() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True
        time.sleep(_STOP_SECONDS / 2)
        os._exit(0)

    threading.Thread(target=stop_with_parent, daemon=True).start()
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
