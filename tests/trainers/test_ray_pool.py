"""Trainers on a Ray cluster: the same numbers, and what is lost when one or its node is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from cnn_pipeline.base import events
from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.events import (
    ClusterChanged,
    Event,
    SweepStarted,
    TrialEnded,
    TrialNote,
    TrialProgress,
)
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.run import run_sweep
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.engine import Engine
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.tracking import names
from cnn_pipeline.trainers import ray_cluster
from cnn_pipeline.trainers.ray_pool import RayPool
from tests.experiment.test_run import predictions, untimed
from tests.faults.servers import mlflow_server
from tests.running import (
    ENDLESS,
    QUICK,
    SAMPLE,
    TINY,
    begin,
    descendants,
    gone,
    one_trial,
    run_trials,
    wait_until,
)

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow  # trainers import TensorFlow

NODE = [
    "--object-store-memory=100000000", "--node-ip-address=127.0.0.1", "--disable-usage-stats",
    "--include-log-monitor=false", "--block",
]  # fmt: skip


@contextmanager
def head(*more: str) -> Iterator[str]:
    """A Ray cluster with one node. Yields its address."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # Ray's sockets need a short path
    words = ["--head", "--port=0", "--include-dashboard=false", f"--temp-dir={folder}", *more]
    try:
        with ray_node(*words):
            found = folder / "ray_current_cluster"
            wait_until(
                lambda: found.exists() and bool(found.read_text().strip()), "Ray's head", 300
            )
            yield found.read_text().strip()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def ray_node(*more: str) -> Iterator[psutil.Process]:
    """A node of a Ray cluster, which joins some time later. Yields the parent of its processes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", "start", *more, *NODE],
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    parent = psutil.Process(process.pid)
    try:
        yield parent
    finally:
        family = parent.children(recursive=True) if process.poll() is None else []
        process.terminate()
        _, left = psutil.wait_procs(family, timeout=30)
        for one in left:
            one.kill()
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a Ray cluster with this machine as its only node."""
    with head("--num-cpus=2") as address:
        yield address


@pytest.fixture(scope="module")
def engine(cluster: str) -> Engine:
    return Engine(engine="ray", ray_address=cluster)


@pytest.fixture(scope="module")
def ray_pool(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayPool]:
    folder = tmp_path_factory.mktemp("pool")
    cluster = ray_cluster.join(engine, one_trial(), 1, "", folder / "checkpoints")
    pool = RayPool(cluster.most, cluster.threads, folder / "logs", cluster)
    yield pool
    pool.close()


def actors() -> set[int]:
    """Processes of Ray's actors that are trainers, in the cluster of these tests."""
    family = descendants(os.getpid())
    return {pid for pid, words in family.items() if words.startswith("ray::_Trainer")}


def trainers() -> set[int]:
    """Trainers, and what forks them, below the actors."""
    return {
        pid
        for actor in actors()
        for pid, words in descendants(actor).items()
        if "cnn_pipeline.trainers" in words
    }


@contextmanager
def once_in_epoch(epoch: int, action: Callable[[], object]) -> Iterator[list[Event]]:
    """Call `action` once, as soon as an epoch has begun. Yields what is told."""
    told: list[Event] = []
    begun = threading.Event()

    def listen(event: Event) -> None:
        told.append(event)
        if isinstance(event, TrialProgress) and event.epoch >= epoch and not begun.is_set():
            begun.set()
            threading.Thread(target=action).start()  # it may close the pool, which emits

    with events.listening(listen):
        yield told
    assert begun.is_set(), "nothing was trained"


def tags_of(home: Home, result: TrialResult) -> dict[str, str]:
    tags: dict[str, str] = MlflowClient(home.database_uri).get_run(result.run_id).data.tags
    return tags


def kill_all(pids: set[int]) -> None:
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_a_cluster_gives_the_numbers_of_this_machine_though_an_actor_is_lost(
    tiny: tuple[Home, Outcome], home: Home, engine: Engine, tmp_path: Path
) -> None:
    place = tmp_path / "shared"
    engine = engine.model_copy(update={"checkpoints": str(place)})
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    local_home, local = tiny
    with once_in_epoch(1, lambda: kill_all(actors())) as told:
        outcome = run_sweep(TINY, home, workers=1, engine=engine)
    notes = [event.text for event in told if isinstance(event, TrialNote)]
    assert any("was lost; it goes on elsewhere" in note for note in notes)
    assert any(note.startswith("goes on ") for note in notes)
    assert not [path for path in place.rglob("*") if path.is_file()]
    assert not (home.state / "checkpoints").exists()
    assert [untimed(r) for r in outcome.results] == [untimed(r) for r in local.results]
    assert [r.status for r in outcome.results] == [r.status for r in local.results]
    assert [r.reason for r in outcome.results] == [r.reason for r in local.results]
    assert [r.content_key for r in outcome.results] == [r.content_key for r in local.results]
    for mine, its in zip(outcome.results, local.results, strict=True):
        if mine.finished:
            assert predictions(home, mine) == predictions(local_home, its)
            assert "(Ray node " in tags_of(home, mine)[names.NODE]
            assert names.NODE not in tags_of(local_home, its)
    wait_until(lambda: not actors(), "the end of the trainers", 30)
    assert before == {number: signal.getsignal(number) for number in before}


def test_a_trial_that_needs_too_many_cores_is_refused(home: Home, engine: Engine) -> None:
    many = one_trial(QUICK.model_copy(update={"threads": 64}))
    with pytest.raises(InvalidInput, match="a trial needs a node with 64 cores, received"):
        run_sweep(many, home, engine=engine)
    assert not ray.is_initialized()  # else the cluster's end is that of this process, too


@pytest.mark.long
@pytest.mark.fault(fault="kill -9 of a trainer on Ray", moment="training", promises="I3")
def test_a_killed_trainer_fails_its_trial_as_on_this_machine(
    home: Home, tmp_path: Path, ray_pool: RayPool
) -> None:
    def kill() -> None:
        servers = {psutil.Process(actor).children()[0].pid for actor in actors()}
        kill_all(trainers() - servers)

    with once_in_epoch(0, kill):
        (failed,) = run_trials(begin(one_trial(ENDLESS), home, tmp_path), ray_pool)
    assert failed.status == "FAILED"
    assert failed.reason.startswith("the trainer was ended by SIGKILL")
    (finished,) = run_trials(begin(one_trial(), home, tmp_path), ray_pool)
    assert (finished.status, finished.reason) == ("FINISHED", "")


@pytest.mark.long
@pytest.mark.fault(fault="Ctrl-C of a sweep on Ray", moment="training", promises="I3")
def test_closing_ends_trainings_within_ten_seconds(
    home: Home, tmp_path: Path, ray_pool: RayPool
) -> None:
    closed: list[float] = []
    family: set[int] = set()

    def close() -> None:
        family.update(actors() | trainers())
        closed.append(time.monotonic())
        ray_pool.close("Ctrl-C")

    with once_in_epoch(1, close):
        (killed,) = run_trials(begin(one_trial(ENDLESS), home, tmp_path), ray_pool)
    assert time.monotonic() - closed[0] < 10
    assert (killed.status, killed.reason) == ("KILLED", "Ctrl-C")
    wait_until(lambda: gone(family), "the end of the trainers", 10)


def until(
    kind: type[Event], fits: Callable[[Any], bool] = lambda event: True
) -> Generator[None, Event, Any]:
    """Let events pass until the one that fits, and return it."""
    while not (isinstance(event := (yield), kind) and fits(event)):
        pass
    return event


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.fault(fault="a node of Ray joins, and is lost", moment="training", promises="I1")
def test_a_sweep_uses_a_node_that_joins_and_goes_on_without_it(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep(
        name="four",
        entries=TINY.entries[:2],
        seeds=(0, 1),
        training=QUICK.model_copy(update={"epochs": 5}),
        data=SAMPLE,
    )
    local = run_sweep(sweep, home, workers=1)
    nodes, told = ExitStack(), []
    stopped: set[int] = set()

    def script() -> Generator[None, Event, None]:
        assert (yield from until(SweepStarted)).at_once == 1
        first = (yield from until(TrialProgress)).trial
        stopped.update(trainers())  # so that another node must do what is left
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        node = nodes.enter_context(ray_node(f"--address={address}", "--num-cpus=1"))
        joined = yield from until(ClusterChanged)
        assert (joined.at_once, "joined" in joined.text) == (2, True), joined.text
        done = (yield from until(TrialEnded)).trial
        assert done != first
        yield from until(TrialProgress, lambda event: event.trial not in (first, done))
        for process in (*node.children(recursive=True), node):
            process.kill()
        lost = yield from until(ClusterChanged)
        assert (lost.at_once, "was lost" in lost.text) == (1, True), lost.text
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        while True:
            told.append((yield))

    with head("--num-cpus=1") as address, mlflow_server(tmp_path / "server") as server, nodes:
        monkeypatch.setenv(TRACKING_VARIABLE, server.address)
        script_of_it = script()
        next(script_of_it)
        notes: list[str] = []

        def listen(event: Event) -> None:
            if isinstance(event, TrialNote):
                notes.append(event.text)
            script_of_it.send(event)

        with events.listening(listen):
            outcome = run_sweep(
                sweep, Home(tmp_path / "home"), engine=Engine(engine="ray", ray_address=address)
            )
        client = MlflowClient(server.address)
        used = [client.get_run(one.run_id).data.tags[names.NODE] for one in outcome.results]
    assert told, "the script did not end"
    assert any("was lost; it goes on elsewhere" in note for note in notes)
    assert len(set(used)) == 2
    assert [result.status for result in outcome.results] == ["FINISHED"] * 4
    assert [untimed(r) for r in outcome.results] == [untimed(r) for r in local.results]
    assert [r.content_key for r in outcome.results] == [r.content_key for r in local.results]


@pytest.mark.long
def test_three_trainers_share_a_faked_gpu_and_more_come_with_another(tmp_path: Path) -> None:
    """No GPU is used: Ray is told of some that are not there. So only placement is tested."""
    sweep = one_trial().model_copy(update={"seeds": (0, 1, 2, 3, 4)})
    with (
        head("--num-cpus=8", "--num-gpus=1") as address,
        mlflow_server(tmp_path / "server") as server,
    ):
        engine = Engine(engine="ray", ray_address=address, gpu_share=0.33)
        cluster = ray_cluster.join(engine, sweep, 0, server.address, tmp_path / "checkpoints")
        assert (cluster.room, cluster.most) == (3, 5)
        pool = RayPool(cluster.most, cluster.threads, tmp_path / "logs", cluster)
        try:
            wait_until(lambda: len(actors()) == 3, "three trainers on one card", 300)
            assert ray.available_resources()["GPU"] == pytest.approx(0.01)
            with ray_node(f"--address={address}", "--num-cpus=1", "--num-gpus=1"):
                wait_until(lambda: len(actors()) == 4, "a trainer for the only other core", 300)
                assert pool.now == 4
            wait_until(lambda: pool.now == 3, "the loss of the node", 300)
            assert len(actors()) == 3
        finally:
            pool.close()
