"""A PostgreSQL cluster of its own, in a temporary folder and on a free port."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnn_pipeline.services.loopback import HOST, free_port

USER = "cnn"


def programs() -> Path | None:
    """The folder of initdb and pg_ctl; None if PostgreSQL is not installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if debian:
        return debian[-1]
    found = shutil.which("initdb")
    return None if found is None else Path(found).resolve().parent


@contextmanager
def cluster(folder: Path, databases: tuple[str, ...], password: str = "") -> Iterator[str]:
    """Run PostgreSQL of `folder` until the block ends. Yields 'cnn@127.0.0.1:port'.

    With `password` it asks the user for it.
    """
    # Its user cannot enter the folders of pytest, and paths of sockets must be short.
    data = Path(tempfile.mkdtemp(prefix="cnn-pipeline-postgres-"))
    # PostgreSQL does not run as root: Debian's package has made the user postgres.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(data, "postgres")
    port = free_port()

    def call(*words: str) -> None:
        done = subprocess.run(
            [*as_user, str(folder / words[0]), *words[1:]],
            env={**os.environ, "PGPASSWORD": password},
            cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout

    options = f"-p {port} -k {data} -c listen_addresses={HOST} -c fsync=off"
    auth = ["--auth", "trust"]
    if password:
        (data / "password").write_text(password, encoding="utf-8")
        auth = ["--auth", "scram-sha-256", "--pwfile", str(data / "password")]
    call("initdb", "--pgdata", str(data / "data"), *auth, "--username", USER, "-N")
    try:
        log = str(data / "log")
        call("pg_ctl", "-D", str(data / "data"), "-o", options, "-l", log, "-w", "start")
        for name in databases:
            call("createdb", "-h", HOST, "-p", str(port), "-U", USER, name)
        yield f"{USER}@{HOST}:{port}"
    finally:
        call("pg_ctl", "-D", str(data / "data"), "-m", "immediate", "stop")
        shutil.rmtree(data)
