"""The champion served by a real process and asked over real HTTP."""

from __future__ import annotations

import base64
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.server.app import MAX_BODY_BYTES
from cnn_pipeline.cli.commands.serve import EPILOG
from tests.champion.server.champions import CLASSES, NAME, SHAPE, Registered, crown, register
from tests.champion.server.test_request import BOOT, png
from tests.running import DEADLINE, wait_until

pytestmark = pytest.mark.slow  # a start imports TensorFlow

PIXELS = np.random.default_rng(1).integers(0, 256, (300, *SHAPE), dtype=np.uint8)
JSON = {"content-type": "application/json"}


def environment() -> dict[str, str]:
    """Of a shell that knows nothing of the store that this process has logged into."""
    own = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return own | {"PYTHONUNBUFFERED": "1"}


def program(*words: str) -> list[str]:
    return [sys.executable, "-m", "cnn_pipeline.cli", *words]


class Server:
    """`cnn-pipeline serve` on a free port."""

    def __init__(self, home: Home) -> None:
        self.process = subprocess.Popen(
            program("serve", "--port", "0", "--home", str(home.root)),
            stdout=subprocess.PIPE,
            stderr=(home.root / "serve.log").open("w"),
            text=True,
            env=environment(),
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        line = self.line()
        assert f"{NAME} version" in line, (home.root / "serve.log").read_text()
        self.address = line.split()[-1].removesuffix("/invocations")
        self.port = int(self.address.rpartition(":")[2])
        self.client = httpx.Client(base_url=self.address, trust_env=False, timeout=30)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.strip())
        self._lines.put("")

    def line(self) -> str:
        """The next line that it says; empty once it has ended."""
        return self._lines.get(timeout=DEADLINE)

    def ask(self, document: Any) -> httpx.Response:
        return self.client.post("/invocations", json=document)

    def health(self) -> dict[str, Any]:
        content: dict[str, Any] = self.client.get("/health").json()
        return content

    def kill(self) -> None:
        """Whatever the test did, leave no process."""
        self.client.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, _migrated_store: Path) -> Home:
    home = Home(tmp_path_factory.mktemp("served") / "home with späces")
    home.artifacts.mkdir(parents=True)
    home.database.write_bytes(_migrated_store.read_bytes())
    return home


@pytest.fixture(scope="module")
def versions(place: Home) -> dict[int, Registered]:
    made = [register(place, seed) for seed in range(3)]
    return {version.number: version for version in made}


@pytest.fixture(scope="module")
def server(place: Home, versions: dict[int, Registered]) -> Iterator[Server]:
    crown(place, 1)
    server = Server(place)
    try:
        yield server
        # SIGTERM is how a supervisor ends a service: a clean end.
        server.process.terminate()
        assert server.process.wait(timeout=DEADLINE) == 0
    finally:
        server.kill()


def test_raw_pixels_and_a_batch_of_300(server: Server, versions: dict[int, Registered]) -> None:
    expected = versions[1].answers(PIXELS)
    for sent in (PIXELS, PIXELS[:1], PIXELS[:7, ..., 0]):
        for key in ("inputs", "instances"):
            reply = server.ask({key: sent.tolist()})
            assert reply.status_code == 200, reply.text
            content = reply.json()
            np.testing.assert_allclose(content["predictions"], expected[: len(sent)], atol=1e-6)
            assert content["labels"] == [CLASSES[i] for i in expected[: len(sent)].argmax(axis=1)]
            assert content["model"]["version"] == 1
            assert reply.headers["x-model-version"] == "1"


def test_a_picture_is_answered_as_its_pixels(server: Server) -> None:
    raw = server.ask({"inputs": BOOT[None].tolist()}).json()
    picture = base64.b64encode(png(BOOT)).decode()
    for item in (picture, {"b64": picture}):
        answer = server.ask({"inputs": [item]}).json()
        assert answer["predictions"] == raw["predictions"]


def test_the_commands_in_its_help_work(
    server: Server, tmp_path: Path, need: Callable[[bool, str], None]
) -> None:
    need(shutil.which("curl") is not None, "curl: apt install curl")
    # Noise makes a file of several lines of base64.
    (tmp_path / "boot.png").write_bytes(png(PIXELS[0]))
    commands = (
        EPILOG.split("Send it")[1]
        .partition("\n")[2]
        .partition("\b")[0]
        .replace(":8080", f":{server.port}")
    )
    done = subprocess.run(
        ["sh", "-ec", commands], cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE
    )
    answer, _, health = done.stdout.partition("}{")
    assert '"predictions":[[' in answer and '"notes":[[' in answer, done.stdout + done.stderr
    assert health.startswith('"status":"ok"')


def test_mlflows_own_client_understands_it(server: Server, versions: dict[int, Registered]) -> None:
    client = ScoringServerClient("127.0.0.1", server.port)
    client.wait_server_ready(timeout=5)
    received = client.invoke(PIXELS[:5]).get_predictions().to_numpy(np.float32)
    np.testing.assert_allclose(received, versions[1].answers(PIXELS[:5]), atol=1e-6)


ONE = PIXELS[:1].tolist()
FILE = base64.b64encode(png(BOOT)).decode()


@pytest.mark.parametrize(
    ("content", "headers", "status", "reason"),
    [
        (b"boots", JSON, 400, "must be JSON"),
        (json.dumps({"inputs": [[0]]}), JSON, 400, "nested lists of shape [1, 1]"),
        (json.dumps({"inputs": ONE}).replace("[[[[", "[[[[-"), JSON, 400, "received -"),
        (json.dumps({"inputs": (PIXELS[:1] / 255).tolist()}), JSON, 400, "do not scale pixels"),
        (json.dumps({"inputs": [[[float("nan")]]]}), JSON, 400, "received NaN"),
        (json.dumps({"inputs": [ONE[0], ONE[0][1:]]}), JSON, 400, "unequal length"),
        (json.dumps({"dataframe_split": {}}), JSON, 400, "is a table"),
        (json.dumps({"dataframe_records": []}), JSON, 400, "is a table"),
        (json.dumps({"inputs": [{"b64": "?"}]}), JSON, 400, "must be valid base64"),
        (json.dumps({"inputs": [{"b64": "Ym9vdA=="}]}), JSON, 400, "not a PNG, JPEG, GIF"),
        (json.dumps({"inputs": [{"b64": FILE[:80]}]}), JSON, 400, "image 0"),
        (b"1,2,3", {"content-type": "text/csv"}, 415, "must be application/json"),
        (json.dumps({"inputs": ONE}), {}, 415, "received none"),
        (b" " * (MAX_BODY_BYTES + 1), JSON, 413, "at most 16777216 bytes"),
        (b" " * (5 * MAX_BODY_BYTES), JSON, 413, "at most 16777216 bytes"),
    ],
)
def test_a_bad_request_is_refused_with_the_reason(
    server: Server, content: Any, headers: dict[str, str], status: int, reason: str
) -> None:
    reply = server.client.post("/invocations", content=content, headers=headers)
    assert reply.status_code == status
    assert reason in reply.json()["message"]
    assert "Traceback" not in reply.text
    assert server.ask({"inputs": ONE}).status_code == 200


def test_nobody_but_this_machine_is_answered(server: Server) -> None:
    # Whoever listens on all addresses answers on this one as well.
    with socket.socket() as other:
        other.settimeout(5)
        assert other.connect_ex(("127.0.0.2", server.port)) != 0


def test_a_taken_port_is_named(server: Server, place: Home) -> None:
    done = subprocess.run(
        program("serve", "--port", str(server.port), "--home", str(place.root)),
        capture_output=True, text=True, timeout=DEADLINE, env=environment(),
    )  # fmt: skip
    assert done.returncode == 2
    assert f"port {server.port} on 127.0.0.1 must be free" in done.stderr


def test_without_a_champion_it_says_what_to_do(home: Home) -> None:
    done = subprocess.run(
        program("serve", "--port", "0", "--home", str(home.root)),
        capture_output=True, text=True, timeout=DEADLINE, env=environment(),
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"error: there is no champion of {NAME}" in done.stderr
    assert "promote RUN --why TEXT" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_promotion_takes_effect_without_a_failed_request(
    server: Server, place: Home, versions: dict[int, Registered]
) -> None:
    """Clients ask without a pause while the alias moves to a version, a damaged one, and back."""
    expected = {number: version.answers(PIXELS[:16]) for number, version in versions.items()}
    versions[3].damage()
    over = threading.Event()

    answers: list[list[int]] = [[] for _ in range(8)]

    def client(number: int) -> None:
        seen = answers[number]
        generator = np.random.default_rng(number)
        with httpx.Client(base_url=server.address, trust_env=False, timeout=30) as http:
            last = False
            while not last:
                last = over.is_set()
                rows = generator.choice(16, size=generator.integers(1, 6), replace=False)
                reply = http.post("/invocations", json={"inputs": PIXELS[rows].tolist()})
                assert reply.status_code == 200, reply.text
                content = reply.json()
                version = content["model"]["version"]
                assert reply.headers["x-model-version"] == str(version)
                np.testing.assert_allclose(
                    content["predictions"], expected[version][rows], atol=1e-6
                )
                seen.append(version)
                time.sleep(0.01)

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(client, number) for number in range(8)]
        try:
            wait_until(lambda: all(answers), "each client has an answer")
            crown(place, 2)
            assert server.line() == "now serving version 2 (was 1)"
            crown(place, 3)
            assert server.line().startswith(f"still serving version 2: {NAME} version 3 cannot be")
            health = server.health()
            assert (health["status"], health["model"]["version"]) == ("degraded", 2)
            assert "must have SHA-256" in health["problem"]
            crown(place, 1)
            assert server.line() == "now serving version 1 (was 2)"
            wait_until(lambda: server.health()["status"] == "ok", "a clean bill of health")
            wait_until(lambda: sum(map(len, answers)) > 300, "more than 300 answers")
        finally:
            over.set()
        for asked in clients:
            asked.result()
    for versions_seen in answers:
        changes = [versions_seen[0]]
        for version in versions_seen:
            if version != changes[-1]:
                changes.append(version)
        assert changes == [1, 2, 1]


def test_ctrl_c_answers_what_is_under_way_and_ends_with_130(
    place: Home, versions: dict[int, Registered]
) -> None:
    crown(place, 1)
    server = Server(place)
    try:
        with ThreadPoolExecutor(1) as pool:
            last = pool.submit(server.ask, {"inputs": np.tile(PIXELS, (5, 1, 1, 1)).tolist()})
            time.sleep(0.2)
            server.process.send_signal(signal.SIGINT)
            assert len(last.result().json()["predictions"]) == 1500
        assert server.process.wait(timeout=DEADLINE) == 130
    finally:
        server.kill()
