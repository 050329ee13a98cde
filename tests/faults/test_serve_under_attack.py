"""`cnn-pipeline serve`, a real process, while clients do their worst."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pickle
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from mlflow.tracking import MlflowClient

from benchmarks.serve_load import Expected, for_seconds, requests_for, through_a_promotion
from cnn_pipeline.base.files import sha256_of
from cnn_pipeline.base.home import Home
from tests.champion.server.champions import NAME, SHAPE, Registered, crown, register
from tests.e2e.test_serve import Server
from tests.recording import Recorded
from tests.running import DEADLINE, wait_until

pytestmark = pytest.mark.slow  # a start imports TensorFlow

PIXELS = np.random.default_rng(2).integers(0, 256, (16, *SHAPE), dtype=np.uint8)
HEAD = b"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
HALVES = {
    "300 half headers": HEAD,
    "300 half bodies": HEAD + b'Content-Length: 5000\r\n\r\n{"inputs": [',
    "300 bodies byte by byte": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    "700 silent connections": b"",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, _migrated_store: Path) -> Home:
    home = Home(tmp_path_factory.mktemp("attacked") / "home with späces")
    home.artifacts.mkdir(parents=True)
    home.database.write_bytes(_migrated_store.read_bytes())
    return home


@pytest.fixture(scope="module")
def versions(place: Home) -> dict[int, Registered]:
    return {made.number: made for made in [register(place, seed) for seed in range(3)]}


@pytest.fixture(scope="module")
def expected(versions: dict[int, Registered]) -> Expected:
    return {number: version.answers(PIXELS) for number, version in versions.items()}


@pytest.fixture(scope="module")
def server(place: Home, versions: dict[int, Registered]) -> Iterator[Server]:
    crown(place, 1)
    server = Server(place)
    try:
        yield server
        assert "Traceback" not in (place.root / "serve.log").read_text()
    finally:
        server.kill()


def open_connections(server: Server) -> int:
    found = psutil.Process(server.process.pid).net_connections("tcp")
    return sum(each.status == psutil.CONN_ESTABLISHED for each in found)


def accepts(server: Server) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", server.port)) == 0


@pytest.mark.parametrize("attack", HALVES)
def test_slow_clients_keep_nobody_out(
    server: Server, expected: Expected, recorded: Recorded, attack: str
) -> None:
    with recorded(fault="slow clients", moment=attack, promises="I1"), ExitStack() as stack:
        clients = []
        for _ in range(int(attack.split()[0])):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            client.sendall(HALVES[attack])
            clients.append(client)
        over = threading.Event()

        def drip() -> None:
            while "byte" in attack and not over.wait(1):
                for client in clients:
                    with contextlib.suppress(OSError):
                        client.sendall(b"1\r\n{\r\n")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            requests = requests_for(PIXELS, server.port)
            tally, _ = asyncio.run(for_seconds(3, server.port, requests, expected, 4))
        finally:
            over.set()
            thread.join()
        assert tally.faults == [] and tally.asked_to_come_back == 0
        assert tally.right > 10
        assert open_connections(server) <= 512


@pytest.mark.parametrize("clients", [1, 32, 100])
def test_a_promotion_under_load_gives_no_wrong_answer(
    server: Server, place: Home, expected: Expected, recorded: Recorded, clients: int
) -> None:
    before = server.health()["model"]["version"]
    with recorded(fault="load", moment=f"a promotion, {clients} clients", promises="I1"):
        tally = asyncio.run(
            through_a_promotion(
                lambda number: crown(place, number),
                3 - before,
                server.port,
                requests_for(PIXELS, server.port),
                expected,
                clients,
            )
        )
        assert tally.faults == []
        assert tally.versions == {1, 2}
        assert tally.right > clients


def test_a_foreign_file_is_refused_while_the_old_model_serves(
    server: Server, place: Home, versions: dict[int, Registered], recorded: Recorded
) -> None:
    """Even if its SHA-256 was written into the registry as well."""
    before = server.health()["model"]["version"]
    ran = place.root / "ran"
    with recorded(fault="a planted model file", moment="as champion", promises="I1"):
        versions[3].file.write_bytes(pickle.dumps(Planted(str(ran))))
        client = MlflowClient(place.database_uri, registry_uri=place.database_uri)
        client.set_model_version_tag(NAME, "3", "model_sha256", sha256_of(versions[3].file))
        crown(place, 3)
        wait_until(lambda: server.health()["status"] == "degraded", "the refusal")
        assert "version 3 cannot be served" in server.health()["problem"]
        answer = server.ask({"inputs": PIXELS.tolist()}).json()
        assert answer["model"]["version"] == before
        np.testing.assert_allclose(
            answer["predictions"], versions[before].answers(PIXELS), atol=1e-6
        )
        crown(place, before)
        wait_until(lambda: server.health()["status"] == "ok", "a clean bill of health")
        assert not ran.exists()


class Planted:
    """Unpickled, it writes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return Path.touch, (Path(self.path),)  # type: ignore[return-value]


def test_sigterm_answers_what_is_open_and_ends_within_ten_seconds(
    place: Home, versions: dict[int, Registered], server: Server, recorded: Recorded
) -> None:
    with (
        recorded(fault="SIGTERM", moment="with requests open", promises="I1") as row,
        socket.create_connection(("127.0.0.1", server.port)) as half,
        socket.create_connection(("127.0.0.1", server.port)),
        httpx.Client(base_url=server.address, trust_env=False, timeout=DEADLINE) as client,
    ):
        half.sendall(HALVES["300 half bodies"])
        body = json.dumps({"inputs": PIXELS.tolist()}).encode()
        request = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
        with socket.create_connection(("127.0.0.1", server.port)) as whole:
            whole.sendall(request + body[:-1])
            assert client.get("/ping").status_code == 200
            begin = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not accepts(server), "the end of new connections")
            whole.sendall(body[-1:])
            answer = b""
            while part := whole.recv(2**20):
                answer += part
        assert answer.startswith(b"HTTP/1.1 200")
        assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["predictions"]) == 16
        assert half.recv(1000).startswith(b"HTTP/1.1 503")
        with pytest.raises(httpx.TransportError):
            client.get("/ping")
        assert server.process.wait(timeout=DEADLINE) == 0
        row.recovered(time.monotonic() - begin)
        assert time.monotonic() - begin < 10
        assert "Traceback" not in (place.root / "serve.log").read_text()
