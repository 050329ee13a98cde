"""Secrets of every special character, real commands, and then a search for what is left of them."""

from __future__ import annotations

import base64
import http.client
import http.server
import os
import string
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from cnn_pipeline.base.home import cache_dir
from cnn_pipeline.services.loopback import HOST, free_port, wait_until_healthy
from cnn_pipeline.services.mlflow_ui import server_environment
from tests.flows.test_flow import environment
from tests.running import files_below, stop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parent.parent.parent
START, END = "CaNaRy", "yRaNaC"
# Control characters and letters that no header can hold are left out.
PUNCTUATION = string.punctuation
CLOSED = "127.0.0.1:9"  # discards; nothing listens there


def secret(number: int) -> str:
    """A password with every special character, and words at its ends to search for."""
    return f"{START}{number}{PUNCTUATION} {PUNCTUATION}{number}{END}"


def encoded(number: int) -> str:
    return quote(secret(number), safe="")


# In every variable of the documentation. Those that must work in the test are set by it.
EVERYWHERE = {
    "MLFLOW_TRACKING_TOKEN": "",
    "PREFECT_API_KEY": secret(1),
    "PREFECT_API_AUTH_STRING": f"ann:{secret(2)}",
    "PREFECT_SERVER_API_AUTH_STRING": f"ann:{secret(2)}",
    "AWS_SECRET_ACCESS_KEY": secret(3),
    "AWS_SESSION_TOKEN": secret(4),
    "HTTPS_PROXY": f"http://ann:{encoded(5)}@{CLOSED}",
    "NO_PROXY": "127.0.0.1,localhost",
}


def left(content: bytes) -> list[str]:
    """What is left of a secret in some bytes: as it is, percent-encoded, or in base64."""
    found = []
    for word in (START, END):
        forms = {word.encode(), word.lower().encode(), word.upper().encode()}
        for shift in range(3):  # where it begins in a group of three bytes
            text = base64.b64encode(b"x" * shift + word.encode() + b"x" * 3)
            forms.add(text[4 if shift else 0 : 4 * ((shift + len(word)) // 3)])
        found += [form.decode() for form in forms if form in content]
    return found


def leaks(folder: Path) -> dict[str, list[str]]:
    """The files below `folder` that hold something of a secret."""
    found = {}
    for path, content in files_below(folder):
        if what := left(content):
            found[str(path.relative_to(folder))] = what
        assert not left(str(path).encode())
    return found


@contextmanager
def with_password(address: str, user: str, password: str) -> Iterator[str]:
    """A proxy in front of a server, which asks for a password; yields its host and port."""
    host = address.removeprefix("http://")
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode("latin1")).decode()

    class Door(http.server.BaseHTTPRequestHandler):
        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            there = http.client.HTTPConnection(host, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() != "authorization"}
            there.request(self.command, self.path, body, {**headers, "Host": host})
            answer = there.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = forward

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((HOST, 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"{HOST}:{server.server_port}"
    server.shutdown()


@dataclass(frozen=True)
class Desk:
    """A folder with everything that the commands write, and a tracking server with a password."""

    folder: Path
    server: str
    """Host and port."""
    said: list[str]

    def call(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        own = {
            "HOME": str(self.folder / "user"),
            "CNN_PIPELINE_HOME": str(self.folder / "home"),
            "CNN_PIPELINE_CACHE": str(cache_dir(os.environ)),
            "CNN_PIPELINE_DEBUG": "1",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        }
        environ: Mapping[str, str] = {**environment(self.folder), **own, **EVERYWHERE, **more}
        done = subprocess.run(
            [sys.executable, "-m", "cnn_pipeline.cli", *words],
            cwd=ROOT, capture_output=True, text=True, timeout=400,
            env={name: value for name, value in environ.items() if value},
        )  # fmt: skip
        shown = done.stdout + done.stderr
        assert left(shown.encode()) == [], (words, shown)
        self.said.append(shown)
        return done


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "user").mkdir()
    port = free_port()
    address = f"http://{HOST}:{port}"
    store = server_environment(f"sqlite:///{folder}/team.db", None)
    with (folder / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port),
             "--workers", "1", "--artifacts-destination", str(folder / "team")],
            env={**os.environ, **store}, stdout=log, stderr=log, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            assert wait_until_healthy(address, process, 60)
            with with_password(address, "ann", secret(0)) as server:
                yield Desk(folder, server, [])
        finally:
            stop(process)


def test_the_search_finds_a_secret_in_every_spelling(tmp_path: Path) -> None:
    assert unquote(encoded(7)) == secret(7)
    spelled = [
        secret(7).encode(),
        encoded(7).encode(),
        encoded(7).lower().encode(),
        *(base64.b64encode(b"x" * shift + secret(7).encode()) for shift in range(3)),
    ]
    for number, content in enumerate(spelled):
        (tmp_path / str(number)).write_bytes(b"before " + content + b" after")
    (tmp_path / "none").write_bytes(b"***")
    assert set(leaks(tmp_path)) == {str(number) for number in range(len(spelled))}


def test_a_sweep_on_a_server_with_a_password_leaves_none_behind(desk: Desk) -> None:
    uri = f"http://ann:{encoded(0)}@{desk.server}"
    done = desk.call(
        "run", "--data", "fashion-mnist-sample", "--train-limit", "600", "--filters", "2",
        "--dense-units", "16", "--epochs", "1", "--seeds", "0", "--threads", "1",
        "--precision", "float32",
        MLFLOW_TRACKING_URI=uri,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for words in (["list", "--json"], ["doctor"]):
        more = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": secret(0)}
        done = desk.call(*words, **more, MLFLOW_TRACKING_URI=f"http://{desk.server}")
        assert desk.server in done.stdout or words[0] != "doctor", done.stdout + done.stderr
        assert words[0] == "doctor" or done.returncode == 0, done.stderr
    assert leaks(desk.folder) == {}
    assert (desk.folder / "team.db").stat().st_size > 100_000
    state = desk.folder / "home" / "mlruns" / "state"
    assert list(state.rglob("prefect.db")), "Prefect's database was searched"
    private = [state, *(path for path in state.rglob("*") if path.is_dir())]
    assert [path for path in private[:1] if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        ("doctor", {"MLFLOW_TRACKING_URI": f"http://ann:{encoded(0)}@{CLOSED}",
                    "PREFECT_API_URL": f"http://ann:{encoded(0)}@{CLOSED}/api"}),
        ("doctor", {"MLFLOW_TRACKING_URI": f"http://ann:{secret(0)}@{CLOSED}",
                    "PREFECT_API_URL": f"http://ann:{secret(0)}@{CLOSED}/api"}),
        ("list", {"MLFLOW_TRACKING_URI": f"http://ann:{secret(0).replace(' ', '/')}@{CLOSED}"}),
        ("doctor", {"MLFLOW_TRACKING_URI": f"postgresql://ann:{secret(0)}@{CLOSED}/mlflow"}),
        ("list", {"MLFLOW_TRACKING_URI": f"http://{CLOSED}/?token={encoded(0)}"}),
        ("deploy", {"PREFECT_API_URL": f"http://ann:{secret(0).replace(' ', '/')}@{CLOSED}/api"}),
    ],
    ids=["encoded", "plain", "slash", "database", "parameter", "prefect"],
)  # fmt: skip
def test_an_address_that_fails_is_named_without_its_secret(
    desk: Desk, command: str, variables: dict[str, str]
) -> None:
    done = desk.call(command, **variables)
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert "***" in done.stdout + done.stderr
    assert "unexpected" not in done.stderr
    assert leaks(desk.folder) == {}
