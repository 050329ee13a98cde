"""MLflow's user interface: on this machine only, and gone with the command."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from cnn_pipeline.base import links
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.services import mlflow_app
from cnn_pipeline.services.loopback import free_port
from cnn_pipeline.services.mlflow_ui import serve, server_command, server_environment
from tests.running import DEADLINE, descendants, gone, wait_until

Start = Callable[[Home, int], subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "CNN_PIPELINE_MLFLOW_UI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `cnn-pipeline ui` in a process group of its own; nothing survives the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(home: Home, port: int) -> subprocess.Popen[str]:
        words = ["ui", "--no-browser", "--port", str(port), "--home", str(home.root)]
        process = subprocess.Popen(
            [sys.executable, "-m", "cnn_pipeline.cli", *words],
            start_new_session=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        family = descendants(process.pid)
        for pid in [process.pid, *family]:
            if not gone({pid}):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


def reachable(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def own_addresses() -> set[str]:
    """Addresses of this machine besides the one that is served; 127.0.0.2 is one on Linux."""
    found = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; finds the way out
            found.add(str(probe.getsockname()[0]))
        except OSError:
            pass
    return (found | {"127.0.0.2"}) - {"127.0.0.1", "::1"}


@pytest.mark.parametrize(
    "ending", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_it_serves_this_machine_only_until_it_is_ended(
    ending: signal.Signals, tiny: tuple[Home, Outcome], start: Start
) -> None:
    home, outcome = tiny
    port = free_port()
    process = start(home, port)
    assert process.stdout is not None
    lines = [process.stdout.readline().rstrip() for _ in range(4)]
    address = f"http://127.0.0.1:{port}"
    runs = [result.run_id for result in outcome.results if result.finished]
    assert lines == [
        f"Runs:          {links.view_page(outcome.experiment_id, 'tiny', address)}",
        f"Charts:        {links.view_page(outcome.experiment_id, 'tiny', address, charts=True)}",
        f"Compare view:  {links.compare_page(outcome.experiment_id, runs, address)}",
        "Press Ctrl-C to stop.",
    ]
    assert httpx.get(f"{address}/health").text == "OK"
    assert "<title>MLflow</title>" in httpx.get(address).text
    experiments = httpx.get(f"{address}/api/2.0/mlflow/experiments/search?max_results=9").json()
    assert "fashion-mnist-sample-cnn" in {e["name"] for e in experiments["experiments"]}
    # A page of another site that got its name to point here may not read the runs.
    assert httpx.get(f"{address}/health", headers={"Host": "evil.example"}).text == "OK"
    foreign = httpx.get(
        f"{address}/api/2.0/mlflow/experiments/search?max_results=9",
        headers={"Host": "evil.example"},
    )
    assert foreign.status_code == 403
    assert [host for host in sorted(own_addresses()) if reachable(host, port)] == []

    family = descendants(process.pid)
    assert any("mlflow" in command for command in family.values())
    process.send_signal(ending)
    process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    wait_until(lambda: gone(family), "the server's processes end")
    assert not reachable("127.0.0.1", port)


def test_ctrl_c_while_it_starts_ends_it_quietly(tiny: tuple[Home, Outcome]) -> None:
    command = [sys.executable, "-m", "cnn_pipeline.cli", "ui", "--no-browser"]
    process = subprocess.Popen(
        [*command, "--port", str(free_port()), "--home", str(tiny[0].root)],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "opening the store\n"
    while "starting MLflow's server" not in process.stderr.readline():
        pass
    wait_until(lambda: descendants(process.pid), "the server's process exists")
    family = descendants(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    wait_until(lambda: gone(family), "the server's processes end")


def test_a_port_that_is_taken_is_named(tiny: tuple[Home, Outcome]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port} must be free.*--port N"):
            serve(tiny[0], port, open_browser=False, say=print, ready=print)


def test_without_a_sweep_there_is_nothing_to_open(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="`cnn-pipeline run`"):
        serve(Home(tmp_path / "new"), free_port(), open_browser=False, say=print, ready=print)
    assert list(tmp_path.iterdir()) == []


def test_the_server_takes_the_artifacts_root_only_where_there_is_one() -> None:
    root = "MLFLOW_DEFAULT_ARTIFACT_ROOT"
    assert server_environment("sqlite:///x", "file:///a")[root] == "file:///a"
    assert root not in server_environment("sqlite:///x", None)


def test_the_store_is_not_on_the_command_line() -> None:
    variables = server_environment("postgresql://ann:s3cr3t@host/db", None)
    assert variables["MLFLOW_BACKEND_STORE_URI"] == "postgresql://ann:s3cr3t@host/db"
    assert "//" not in " ".join(server_command(5000)).replace(sys.executable, "")


def test_an_installation_without_the_entry_point_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mlflow_app.options() == ["--app-name", "cnn-pipeline"]
    monkeypatch.setattr(mlflow_app, "entry_points", lambda group: ())
    with pytest.raises(UserError, match=r"entry point mlflow.app: cnn-pipeline.*make install"):
        server_command(5000)
