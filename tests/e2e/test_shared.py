"""`up --database` with a real PostgreSQL that asks for a password: nothing else gets to know it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.home import Home
from cnn_pipeline.services.addresses import ServiceFolder
from cnn_pipeline.services.doctor.shared import check_shared
from cnn_pipeline.services.loopback import free_port
from tests.e2e import postgres
from tests.flows.test_flow import environment
from tests.running import files_below, processes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PASSWORD = "Gänse/Kiel 74@x"
SPELLED = (PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""))


def up(home: Home, environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    ports = ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]
    return subprocess.run(
        [sys.executable, "-m", "cnn_pipeline.cli", "up", "--home", str(home.root), "--detach",
         *ports, *words],
        env=environ, capture_output=True, text=True, timeout=200,
    )  # fmt: skip


def files_with_password(folder: Path) -> Iterator[Path]:
    wanted = [spelled.encode() for spelled in SPELLED]
    for path, content in files_below(folder):
        if any(one in content for one in wanted):
            yield path


def test_up_keeps_everything_in_postgresql_and_a_folder_and_the_password_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = postgres.programs_or_skip()
    home, files = Home(tmp_path / "home"), tmp_path / "files"
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    environ = {**environment(tmp_path), "PGPASSWORD": PASSWORD}
    environ.pop("MLFLOW_TRACKING_URI", None)
    with postgres.cluster(programs, password=PASSWORD) as running:
        host = running.host
        words = ["--database", f"postgresql://{host}/team", "--artifacts", str(files)]
        missing = up(home, environ, *words)
        assert missing.returncode == 2, missing.stderr
        assert "must have the databases team_mlflow and team_prefect" in missing.stderr
        for command in missing.stderr.partition("As a user who may: ")[2].split("; "):
            created = [*shlex.split(command)[:1], "-U", postgres.USER, *shlex.split(command)[1:]]
            subprocess.run(created, env=environ, check=True, timeout=60)

        started = up(home, environ, *words)
        try:
            assert started.returncode == 0, started.stderr
            assert f"Database: postgresql://{host}/team\nFiles:    {files}\n" in started.stdout
            commands = [command for _, command in processes().values()]
            assert not [each for each in commands if any(spelled in each for spelled in SPELLED)]
            (mlflow,) = [line for line in started.stdout.splitlines() if line.startswith("MLflow")]
            client = MlflowClient(mlflow.split()[1])
            run = client.create_run(client.create_experiment("pets"))
            client.log_text(run.info.run_id, "meow", "cat.txt")
            (file,) = files.rglob("cat.txt")
            assert file.read_text() == "meow"
            assert not home.database.exists()
            assert not ServiceFolder.of(home).prefect_database.exists()
            database, artifacts = check_shared(home)
            assert database.message.startswith(f"{host.partition('@')[2]} answers, PostgreSQL ")
            assert database.message.endswith(": team_mlflow, team_prefect")
            assert artifacts.message == f"files can be written to {files}, and deleted"
            assert [*files_with_password(tmp_path)] == []
        finally:
            down = subprocess.run(
                [sys.executable, "-m", "cnn_pipeline.cli", "down", "--home", str(home.root)],
                env=environ, capture_output=True, text=True, timeout=120,
            )  # fmt: skip
        assert down.stdout == "stopped\n"
        refused = subprocess.run(
            [sys.executable, "-m", "cnn_pipeline.cli", "list", "--home", str(home.root)],
            env=environ, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert refused.returncode == 2 and "/team, and the servers do not run" in refused.stderr
