"""A PostgreSQL cluster of its own, in a temporary folder and on one free port."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


def programs_or_skip() -> Path:
    """The folder of its programs; a test that has none is skipped."""
    import pytest  # not there where benchmarks use this file

    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    return found


@dataclass(frozen=True)
class Postgres:
    """A running cluster, which a test may stop and start again."""

    folder: Path
    """Of everything that it has."""
    programs: Path
    port: int
    password: str

    @property
    def host(self) -> str:
        """User, address and port, as in 'cnn@127.0.0.1:5432'."""
        return f"{USER}@{HOST}:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses={HOST} -c fsync=off"
        self.control("-o", options, "-l", str(self.folder / "log"), "-w", "start")

    def stop(self) -> None:
        """End it at once, as a crash does: it recovers at the next start."""
        self.control("-m", "immediate", "stop")

    def control(self, *words: str) -> None:
        """Call pg_ctl."""
        self.call("pg_ctl", "-D", str(self.folder / "data"), *words)

    def call(self, *words: str) -> None:
        """Call one of its programs."""
        # PostgreSQL does not run as root: Debian's package has made the user postgres.
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        done = subprocess.run(
            [*as_user, str(self.programs / words[0]), *words[1:]],
            env={**os.environ, "PGPASSWORD": self.password},
            cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


@contextmanager
def cluster(
    programs: Path, databases: tuple[str, ...] = (), password: str = ""
) -> Iterator[Postgres]:
    """Run PostgreSQL of the folder `programs` until the block ends.

    With `password` it asks the user for it.
    """
    # Its user cannot enter the folders of pytest, and paths of sockets must be short.
    folder = Path(tempfile.mkdtemp(prefix="cnn-pipeline-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    made = Postgres(folder, programs, free_port(), password)
    auth = ["--auth", "trust"]
    if password:
        (folder / "password").write_text(password, encoding="utf-8")
        auth = ["--auth", "scram-sha-256", "--pwfile", str(folder / "password")]
    made.call("initdb", "--pgdata", str(folder / "data"), *auth, "--username", USER, "-N")
    try:
        made.start()
        for name in databases:
            made.call("createdb", "-h", HOST, "-p", str(made.port), "-U", USER, name)
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)
