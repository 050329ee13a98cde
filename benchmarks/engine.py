"""What trainers on Ray cost beside trainers of the command's own.

    .venv/bin/python -m benchmarks.engine                    # about 4 minutes

A cluster of this machine alone is started first, and does not count. Trials run in turn on a warm
trainer of each kind, and whole commands in turn with each engine, until the first epoch begins.
Each pair's difference counts. Writes `benchmarks/results/engine.md`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.machine import in_words, this_machine
from benchmarks.report import markdown, say, spread, write
from benchmarks.startup import first_epoch
from cnn_pipeline.base.home import Home, cache_dir
from cnn_pipeline.experiment import steps
from cnn_pipeline.experiment.data_card import prepare_data
from cnn_pipeline.experiment.decide import crew_of, decide
from cnn_pipeline.experiment.trials import run_trial
from cnn_pipeline.settings.engine import LOCAL, Engine
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Training, Variant
from cnn_pipeline.trainers.pool import trainers
from cnn_pipeline.trainers.protocol import Trainers

_COMMAND = [
    "--filters", "16", "--pooling", "max", "--epochs", "1", "--train-limit", "2000",
    "--workers", "1", "--threads", "1", "--force",
]  # fmt: skip
_START_SECONDS = 120


def main() -> None:
    """Measure both and write the table."""
    parser = argparse.ArgumentParser(prog="engine", description=__doc__)
    parser.add_argument("--trials", type=int, default=21)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with _cluster() as address, tempfile.TemporaryDirectory() as folder:
        starts = _starts(given.rounds, address, folder)
        trials = _trials(given.trials, address, Home(Path(folder)))
    header = ["what", "pairs", "trainers of the command", "trainers on Ray", "Ray adds"]
    rows = [
        _row("one trial, its trainer is warm", *trials),
        _row("a command, until the first epoch begins", *starts),
    ]
    write("engine", in_words(this_machine()), markdown(header, rows))


def _row(what: str, local: list[float], on_ray: list[float]) -> list[str]:
    added = [ray - own for own, ray in zip(local, on_ray, strict=True)]
    return [what, str(len(added)), *(spread(one).text(2, " s") for one in (local, on_ray, added))]


def _in_turn(
    rounds: int, local: Callable[[int], float], on_ray: Callable[[int], float]
) -> tuple[list[float], list[float]]:
    """Seconds of each, which begins every other round. The first round is left out."""
    taken: dict[Callable[[int], float], list[float]] = {local: [], on_ray: []}
    for index in range(rounds + 1):
        for way in (local, on_ray) if index % 2 else (on_ray, local):
            seconds = way(index)
            if index:
                taken[way].append(seconds)
        say(f"round {index} of {rounds}")
    return taken[local], taken[on_ray]


def _starts(rounds: int, address: str, home: str) -> tuple[list[float], list[float]]:
    words = [*_COMMAND, "--home", home]
    ray = ["--engine", "ray", "--ray-address", address]
    return _in_turn(rounds, lambda _: first_epoch(words), lambda _: first_epoch([*words, *ray]))


def _trials(count: int, address: str, home: Home) -> tuple[list[float], list[float]]:
    """Seconds of whole trials of one small network, with their runs in MLflow."""
    sweep = Sweep(
        name="engine",
        variant=Variant(filters=2, dense_units=8),
        seeds=tuple(range(count + 1)),
        training=Training(epochs=1, threads=1),
        data=DataSettings(train_limit=512, validation_size=128),
    )
    card = prepare_data(sweep.data, cache_dir(os.environ))
    crews = [crew_of(sweep, 1, engine, home) for engine in (LOCAL, _on(address))]
    decision = decide(sweep, card, home, crews[0], force=True)
    run, trials = steps.begin(decision, {}), sweep.trials()
    with contextlib.ExitStack() as stack:

        def timed_on(pool: Trainers, index: int) -> float:
            started = time.perf_counter()
            assert run_trial(run, trials[index], pool).finished
            return time.perf_counter() - started

        local, on_ray = (
            stack.enter_context(
                trainers(crew.most, crew.threads, home.state / "logs", cluster=crew.cluster)
            )
            for crew in crews
        )
        return _in_turn(count, lambda n: timed_on(local, n), lambda n: timed_on(on_ray, n))


def _on(address: str) -> Engine:
    return Engine(engine="ray", ray_address=address)


@contextmanager
def _cluster() -> Iterator[str]:
    """The address of a cluster with this machine as its only node."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--port=0",
                "--node-ip-address=127.0.0.1", "--include-dashboard=false", "--block",
                "--disable-usage-stats", f"--temp-dir={folder}",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        family: list[psutil.Process] = []
        try:
            file, end = Path(folder, "ray_current_cluster"), time.monotonic() + _START_SECONDS
            while not (file.exists() and file.read_text().strip()):
                if time.monotonic() > end or process.poll() is not None:
                    raise SystemExit("Ray's head did not start")
                time.sleep(0.2)
            yield file.read_text().strip()
            family = psutil.Process(process.pid).children(recursive=True)
        finally:
            process.terminate()
            for one in psutil.wait_procs([*family, psutil.Process(process.pid)], timeout=20)[1]:
                one.kill()


if __name__ == "__main__":
    main()
