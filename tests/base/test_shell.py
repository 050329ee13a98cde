"""Which variables of a user's shell reach MLflow, Prefect and HTTP clients."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from cnn_pipeline.base import shell
from cnn_pipeline.base.shell import MLFLOW, PREFECT, foreign, reach_loopback_directly
from cnn_pipeline.services.loopback import is_healthy

# Each was set by somebody's shell, and sent records elsewhere or broke a training.
STRANGE = {
    "MLFLOW_RUN_ID": "0" * 32,
    "MLFLOW_EXPERIMENT_NAME": "other",
    "MLFLOW_EXPERIMENT_ID": "77",
    "MLFLOW_ACTIVE_MODEL_ID": "m-1",
    "_MLFLOW_ACTIVE_MODEL_ID": "m-1",
    "MLFLOW_REGISTRY_URI": "http://127.0.0.1:9",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "7",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": "sqlite:////nowhere/else.db",
    "PREFECT_LOGGING_LEVEL": "DEBUG",
    "PREFECT__FLOW_RUN_ID": "1",
}
NEEDED = {
    "MLFLOW_TRACKING_URI": "http://mlflow.example",
    "MLFLOW_TRACKING_TOKEN": "t",
    "MLFLOW_TRACKING_SERVER_CERT_PATH": "/ca.pem",
    "PREFECT_API_URL": "http://prefect.example/api",
    "PREFECT_API_KEY": "k",
    "PREFECT_PROFILE": "team",
    "MY_MLFLOW_RUN_ID": "x",
}


def test_only_what_names_a_server_and_logs_in_is_kept() -> None:
    found = foreign(STRANGE | NEEDED, MLFLOW) + foreign(STRANGE | NEEDED, PREFECT)
    assert set(found) == set(STRANGE)


def test_they_are_dropped_once_and_named_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    shell.drop_foreign.cache_clear()
    monkeypatch.setenv("MLFLOW_RUN_ID", "1")
    assert "MLFLOW_RUN_ID" in shell.drop_foreign(MLFLOW)
    assert "MLFLOW_RUN_ID" not in os.environ
    os.environ["MLFLOW_RUN_ID"] = "2"  # by this project's own code
    assert "MLFLOW_RUN_ID" in shell.drop_foreign(MLFLOW)
    assert os.environ["MLFLOW_RUN_ID"] == "2"


PRINT_ENVIRONMENT = """
import json, os
from cnn_pipeline.cli import app
app.app.main = lambda *words, **options: print(json.dumps(dict(os.environ)))
app.main(["sweeps"])
"""


def test_a_command_and_its_children_do_not_see_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRINT_ENVIRONMENT],
        env={**os.environ, **STRANGE, **NEEDED, "HTTP_PROXY": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen.items() >= NEEDED.items()
    assert not STRANGE.keys() & seen.keys()
    assert seen["NO_PROXY"] == seen["no_proxy"] == "127.0.0.1,localhost,::1"


@pytest.mark.parametrize(
    ("given", "excepted"),
    [
        ({}, None),
        ({"no_proxy": "a.example"}, "a.example"),
        ({"HTTP_PROXY": "http://p:3128"}, "127.0.0.1,localhost,::1"),
        ({"https_proxy": "http://p:3128"}, "127.0.0.1,localhost,::1"),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "a.example, localhost"},
         "a.example,localhost,127.0.0.1,::1"),
        ({"http_proxy": "http://p", "NO_PROXY": "upper", "no_proxy": "lower"},
         "lower,127.0.0.1,localhost,::1"),
        ({"http_proxy": "http://p", "no_proxy": "*"}, "*"),
        ({"http_proxy": ""}, None),
    ],
)  # fmt: skip
def test_loopback_is_excepted_from_proxies(given: dict[str, str], excepted: str | None) -> None:
    environ = dict(given)
    reach_loopback_directly(environ)
    assert environ.get("no_proxy") == excepted
    if environ != given:
        assert environ["NO_PROXY"] == excepted


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server on this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()


def test_a_dead_proxy_does_not_hide_a_server_on_this_machine(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert not is_healthy(server)
    reach_loopback_directly(os.environ)
    assert is_healthy(server)
