"""Sweeps that are killed and run again, and two that want the same trials: real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.run import run_sweep
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Variant
from tests.flows.test_flow import environment
from tests.recording import Recorded
from tests.running import DEADLINE, QUICK, SAMPLE, descendants, gone, wait_until

pytestmark = pytest.mark.slow

EPOCHS = 25
THREE = Sweep(
    name="three",
    variant=Variant(filters=2, dense_units=16),
    seeds=(0, 1, 2),
    training=QUICK.model_copy(update={"epochs": EPOCHS}),
    data=SAMPLE,
)
FIRST, SECOND, THIRD = (trial.name for trial in THREE.trials())
WORDS = [
    "-m", "cnn_pipeline.cli", "run", "--data", SAMPLE.source, "--validation-size", "500",
    "--train-limit", "600", "--filters", "2", "--dense-units", "16", "--pooling", "max",
    "--seeds", "0,1,2", "--epochs", str(EPOCHS), "--batch-size", "64", "--threads", "1",
    "--precision", "float32", "--workers", "1",
]  # fmt: skip
DIRECTLY = """
import sys
from pathlib import Path
from cnn_pipeline.base.home import Home
from cnn_pipeline.cli.progress import progress_on
from cnn_pipeline.experiment.run import run_sweep
from cnn_pipeline.settings.sweep import Sweep

with progress_on(sys.stderr):
    run_sweep(Sweep.model_validate_json(sys.argv[2]), Home(Path(sys.argv[1])), workers=1)
"""
NOT_TIMES = ("seconds", "images_per_second", "latency_ms")

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts Python in a process group of its own, its stderr in a file; nothing of it survives."""
    started: list[subprocess.Popen[str]] = []

    def begin(name: str, *words: str) -> subprocess.Popen[str]:
        with screen_of(tmp_path, name).open("w") as log:
            process = subprocess.Popen(
                [sys.executable, *words],
                start_new_session=True, stdout=subprocess.DEVNULL, stderr=log, text=True,
                env=environment(tmp_path),
            )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        kill_all(process)


def screen_of(folder: Path, name: str) -> Path:
    return folder / f"{name}.log"


def kill_all(process: subprocess.Popen[str]) -> None:
    """Kill a process and all below it at once, as a power loss does."""
    family = [process.pid, *descendants(process.pid)]
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pid in family:  # a fork server is in another group
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: gone(set(family)), "all processes end")


def runs(home: Home, kind: str) -> list[Run]:
    client = MlflowClient(home.database_uri)
    experiments = [one.experiment_id for one in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.kind = '{kind}'")) if experiments else []


def trials(home: Home) -> dict[str, Run]:
    found = runs(home, "trial")
    by_name = {run.data.tags["trial"]: run for run in found}
    assert len(by_name) == len(found), "a trial has two runs"
    return by_name


def trains(home: Home, name: str, epochs: int) -> bool:
    """Whether a trial is being trained and has some epochs."""
    client = MlflowClient(home.database_uri)
    found = [run for run in runs(home, "trial") if run.data.tags["trial"] == name]
    return any(len(client.get_metric_history(one.info.run_id, "loss")) >= epochs for one in found)


def numbers(run: Run) -> dict[str, float]:
    return {
        name: value
        for name, value in run.data.metrics.items()
        if not any(word in name for word in NOT_TIMES)
    }


def curve(home: Home, run: Run) -> list[tuple[int, float]]:
    points = MlflowClient(home.database_uri).get_metric_history(run.info.run_id, "loss")
    return sorted((point.step, point.value) for point in points)


@pytest.mark.usefixtures("shared_trainers")
def test_a_sweep_that_is_killed_goes_on_where_it_was(
    home: Home, tmp_path: Path, start: Start, recorded: Recorded
) -> None:
    words = [*WORDS, "--home", str(home.root)]
    with recorded(
        fault="kill -9 of all processes at once",
        moment="in the middle of the second trial of a sweep; the same command again",
        promises="I3 I5 I6 I7",
    ) as row:
        first = start("first", *words)
        wait_until(lambda: first.poll() is None and trains(home, SECOND, 3), "the second trial")
        kill_all(first)
        killed = time.monotonic()
        before = trials(home)
        assert start("again", *words).wait(DEADLINE) == 0
        row.recovered(time.monotonic() - killed)

        said = screen_of(tmp_path, "again").read_text()
        (parent,) = runs(home, "sweep")
        after = trials(home)
        sweep_id = parent.data.tags["sweep_id"]
        assert f"goes on with {sweep_id}: 1 of 3 trials are complete" in said
        assert after.keys() == {FIRST, SECOND, THIRD}
        assert {after[name].info.run_id for name in before} == {
            run.info.run_id for run in before.values()
        }
        assert {run.info.status for run in (parent, *after.values())} == {"FINISHED"}
        assert f"{FIRST}: training" not in said, "a trial was trained twice"
        assert after[FIRST].info.end_time == before[FIRST].info.end_time

        whole = Home(tmp_path / "whole")
        outcome = run_sweep(THREE, whole, workers=1)
        for name, undisturbed in trials(whole).items():
            assert numbers(after[name]) == numbers(undisturbed), name
            assert curve(home, after[name]) == curve(whole, undisturbed), name
        assert parent.data.tags["verdict"] == outcome.comparison.verdict.headline


def test_two_equal_sweeps_train_each_trial_once(
    home: Home, tmp_path: Path, start: Start, recorded: Recorded
) -> None:
    """The second waits for the first, which is killed; then it goes on in its place."""
    words = ["-c", DIRECTLY, str(home.root), THREE.model_dump_json()]
    with recorded(
        fault="two equal sweeps at once, and kill -9 of one",
        moment="it trains the second trial, and the other one waits",
        promises="I3 I6 I7",
    ) as row:
        first = start("first", *words)
        wait_until(lambda: first.poll() is None and trains(home, FIRST, 1), "the first trial")
        second = start("second", *words)
        screen = screen_of(tmp_path, "second")
        waits = f"{SECOND} is being trained elsewhere (three-20"
        wait_until(lambda: waits in screen.read_text(), "the second sweep waits")
        kill_all(first)
        killed = time.monotonic()
        assert second.wait(DEADLINE) == 0
        row.recovered(time.monotonic() - killed)

        (said,) = (line for line in screen.read_text().splitlines() if waits in line)
        assert f", process {first.pid}, since 20" in said
        found = runs(home, "trial")
        trained = [
            run.data.tags["trial"]
            for run in found
            if run.data.tags.get("complete") == "true" and "reused_from" not in run.data.tags
        ]
        assert sorted(trained) == [FIRST, SECOND, THIRD]
        complete = [run for run in found if run.data.tags.get("complete") == "true"]
        assert {run.info.status for run in complete} == {"FINISHED"}
        ended = {run.info.status for run in runs(home, "sweep")}
        assert "FINISHED" in ended
