"""A Prefect server for as long as one command runs, where no other is configured.

Prefect would start one by itself, but in the terminal's process group: Ctrl-C would end the
server together with the flow, which could then tell nobody that it was stopped, and would go on
trying. This one has a session of its own and ends when the command's pipe closes, however the
command ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from cnn_pipeline.base.empty_database import keep_template, place_template
from cnn_pipeline.base.startup import collect_rarely
from cnn_pipeline.services.loopback import HOST, free_port, wait_until_healthy

_DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
_START_SECONDS = 90
_STOP_SECONDS = 10


class TemporaryServer:
    """Starts at once in the background; `wait` until it answers, `stop` when done."""

    def __init__(self, folder: Path, cache: Path) -> None:
        """Keep the server's database and log in `folder`, what spares the next one in `cache`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._cache = cache
        self._database = folder / "prefect.db"
        own = _DATABASE not in os.environ  # of another one nothing is known
        self._migrates = (
            own
            and not self._database.exists()
            and not place_template(cache, "prefect", self._database)
        )
        # A database that was there before knows Prefect's blocks, and no flow here asks for one.
        knows_blocks = own and not self._migrates
        blocks = {"PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false"} if knows_blocks else {}
        self._log_file = folder / "temporary-server.log"
        self._log = self._log_file.open("w", encoding="utf-8")
        self.url = f"http://{HOST}:{free_port()}/api"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cnn_pipeline.services.temporary_prefect", self.url],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={
                _DATABASE: f"sqlite+aiosqlite:///{self._database}",
                "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
                **os.environ,
                "PREFECT_UI_ENABLED": "0",
                # What Prefect sets for its own temporary server: no services that a single flow
                # has no use for, and settings that are final.
                "PREFECT__SERVER_EPHEMERAL": "1",
                "PREFECT__SERVER_FINAL": "1",
                **blocks,
            },
        )

    def wait(self) -> None:
        """Block until the server answers.

        Raises:
            RuntimeError: it ended, or did not answer in time.
        """
        if not wait_until_healthy(self.url, self._process, _START_SECONDS):
            raise RuntimeError(
                f"the temporary Prefect server must answer at {self.url} within {_START_SECONDS} "
                f"s, its exit status is {self._process.poll()}; see {self._log_file}"
            )
        if self._migrates:  # as empty as it will ever be
            keep_template(self._cache, "prefect", self._database)

    def stop(self) -> None:
        """End the server."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def main() -> None:
    """Serve until standard input closes."""
    collect_rarely()
    import httpx
    import uvicorn
    from prefect.server.api.server import create_app

    port = httpx.URL(sys.argv[1]).port
    assert port is not None
    server = uvicorn.Server(
        uvicorn.Config(create_app, factory=True, host=HOST, port=port, log_level="error")
    )

    def stop_with_parent() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True
        time.sleep(_STOP_SECONDS / 2)
        os._exit(0)

    threading.Thread(target=stop_with_parent, daemon=True).start()
    server.run()


if __name__ == "__main__":
    main()
