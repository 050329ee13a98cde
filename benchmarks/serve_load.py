"""Requests per second of `cnn-pipeline serve` at 1, 8, 32 and 100 clients, and during a promotion.

    .venv/bin/python -m benchmarks.serve_load --before CHECKOUT      # about 6 minutes

Two servers, of this checkout and of another one, serve the same two versions and are asked in turn.
Each client sends one image of 28x28 pixels as text, again and again, on one connection, and
compares every answer with the one of the version that it names. A client that gets 503 waits as
long as `Retry-After` says. Clients and servers share the machine. CPU time is that of the server
per right answer. Writes
`benchmarks/results/serve-load.md` and `.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.machine import in_words, this_machine
from benchmarks.report import RESULTS, markdown, ratios, say, spread, write
from benchmarks.timing import rotated

CLIENTS = (1, 8, 32, 100)
Expected = Mapping[int, npt.NDArray[np.float32]]
"""Probabilities `[images, classes]` of each version."""


@dataclass
class Tally:
    """What the clients of one stretch were answered."""

    right: int = 0
    asked_to_come_back: int = 0
    """503 with Retry-After."""
    faults: list[str] = field(default_factory=list)
    """Wrong answers, other statuses, closed connections."""
    versions: set[int] = field(default_factory=set)


def requests_for(pixels: npt.NDArray[np.uint8], port: int) -> list[bytes]:
    """A whole HTTP request for each image of uint8 `[n, h, w, c]`."""
    made = []
    for image in pixels:
        body = json.dumps({"inputs": [image.tolist()]}).encode()
        made.append(
            b"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (port, len(body), body)
        )
    return made


async def load(
    port: int, requests: Sequence[bytes], expected: Expected, clients: int, over: asyncio.Event
) -> Tally:
    """Ask until `over` is set; every answer is checked."""
    tally = Tally()
    await asyncio.gather(
        *(_client(port, requests, expected, number, over, tally) for number in range(clients))
    )
    return tally


async def _client(
    port: int,
    requests: Sequence[bytes],
    expected: Expected,
    number: int,
    over: asyncio.Event,
    tally: Tally,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    index = number
    try:
        while not over.is_set():
            index = (index + 1) % len(requests)
            writer.write(requests[index])
            status, headers, content = await _answer(reader)
            if status == 200:
                version = content["model"]["version"]
                error = float(np.abs(expected[version][index] - content["predictions"][0]).max())
                if error > 1e-5:
                    tally.faults.append(f"version {version}, image {index}: off by {error}")
                tally.right += error <= 1e-5
                tally.versions.add(version)
            elif status == 503 and "retry-after" in headers:
                tally.asked_to_come_back += 1
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), float(headers["retry-after"]))
            else:
                tally.faults.append(f"{status} {content}")
    except (OSError, asyncio.IncompleteReadError) as error:
        tally.faults.append(f"{type(error).__name__} {error}")
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
    }
    body = await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers, json.loads(body)


async def for_seconds(
    seconds: float, port: int, requests: Sequence[bytes], expected: Expected, clients: int
) -> tuple[Tally, float]:
    """Load for so long: what was answered, and right answers per second."""
    over = asyncio.Event()
    begin = time.perf_counter()
    asyncio.get_running_loop().call_later(seconds, over.set)
    tally = await load(port, requests, expected, clients, over)
    return tally, tally.right / (time.perf_counter() - begin)


async def through_a_promotion(
    promote: Any,
    version: int,
    port: int,
    requests: Sequence[bytes],
    expected: Expected,
    clients: int,
) -> Tally:
    """Load from before a promotion until the new version has answered for a second."""
    over = asyncio.Event()
    loading = asyncio.create_task(load(port, requests, expected, clients, over))
    await asyncio.sleep(1)
    await asyncio.to_thread(promote, version)
    address = ("127.0.0.1", port)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        _, _, health = await _answer(reader)
        writer.close()
        if health["model"]["version"] == version:
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    over.set()
    tally = await loading
    if version not in tally.versions:
        tally.faults.append(f"version {version} never answered")
    return tally


def main() -> None:
    """Measure all rounds and write the table."""
    parser = argparse.ArgumentParser(prog="serve_load", description=__doc__)
    parser.add_argument("--before", type=Path, required=True, help="another checkout")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    given = parser.parse_args()
    from cnn_pipeline.base.home import Home
    from cnn_pipeline.network.build import build_model
    from cnn_pipeline.settings.trial import Variant
    from cnn_pipeline.tracking.store import open_store
    from tests.champion.server.champions import CLASSES, SHAPE, crown, register

    trees = {"before": given.before.resolve(), "now": Path.cwd()}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        home = Home(Path(folder))
        open_store(home, {})
        pixels = np.random.default_rng(0).integers(0, 256, (64, *SHAPE), dtype=np.uint8)
        expected = {}
        for seed in range(2):
            network = build_model(Variant(), SHAPE, len(CLASSES), seed=seed)
            made = register(home, seed, network=network)
            expected[made.number] = made.answers(pixels)
        crown(home, 1)
        servers = {
            name: stack.enter_context(_served(tree, home.root)) for name, tree in trees.items()
        }
        ports = {name: port for name, (port, _) in servers.items()}
        version = 1
        for index in range(given.rounds):
            for clients in CLIENTS:
                for name in rotated(list(trees), index):
                    requests = requests_for(pixels, ports[name])
                    used = -_cpu_seconds(servers[name][1])
                    tally, rate = asyncio.run(
                        for_seconds(given.seconds, ports[name], requests, expected, clients)
                    )
                    used += _cpu_seconds(servers[name][1])
                    cost = 1000 * used / max(tally.right, 1)
                    say(f"round {index}, {clients} clients, {name}: {rate:.0f}/s, {cost:.2f} ms")
                    row = {"round": index, "clients": clients, "checkout": name, "rate": rate}
                    rows.append(
                        row
                        | {"cpu_ms": cost, "busy": tally.asked_to_come_back, "faults": tally.faults}
                    )
        for clients in CLIENTS:
            version = 3 - version
            crowning = lambda number: crown(home, number)  # noqa: E731
            requests = requests_for(pixels, ports["now"])
            tally = asyncio.run(
                through_a_promotion(crowning, version, ports["now"], requests, expected, clients)
            )
            say(f"promotion, {clients} clients: {tally}")
            row = {"promotion": True, "clients": clients, "right": tally.right}
            rows.append(row | {"busy": tally.asked_to_come_back, "faults": tally.faults})
    machine = this_machine()
    content = {"machine": machine, "seconds": given.seconds, "rows": rows}
    (RESULTS / "serve-load.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    head = f"{given.rounds} rounds of {given.seconds:g} s. {in_words(machine)}"
    write("serve-load", head, table(rows))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line for each number of clients."""
    lines = []
    for clients in CLIENTS:
        mine = [row for row in rows if row["clients"] == clients]
        rates, costs = (
            {
                name: [row[what] for row in mine if row.get("checkout") == name]
                for name in ("before", "now")
            }
            for what in ("rate", "cpu_ms")
        )
        promoted = next(row for row in mine if row.get("promotion"))
        faults = sum(len(row["faults"]) for row in mine if row.get("checkout") != "before")
        lines.append(
            [
                str(clients),
                *(spread(rates[name]).text(0) for name in ("before", "now")),
                ratios(rates["now"], rates["before"]).text(2),
                ratios(costs["now"], costs["before"]).text(2),
                f"{promoted['right']:,}",
                f"{promoted['busy']:,}",
                str(faults),
            ]
        )
    header = ["clients", "requests/s before", "now", "ratio", "ratio of CPU time",
              "right in a promotion",
              "503 with Retry-After", "wrong or failed"]  # fmt: skip
    return markdown(header, lines)


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@contextlib.contextmanager
def _served(tree: Path, home: Path) -> Iterator[tuple[int, int]]:
    """The port and the process id of `cnn-pipeline serve` of a checkout."""
    words = ["-m", "cnn_pipeline.cli", "serve", "--port", "0", "--home", str(home)]
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    with subprocess.Popen(
        [sys.executable, *words],
        cwd=tree,
        env=environment | {"PYTHONPATH": str(tree), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            if "/invocations" not in line:
                raise SystemExit(f"the server of {tree} must start, it said {line!r}")
            yield int(line.split()[-1].removesuffix("/invocations").rpartition(":")[2]), server.pid
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
