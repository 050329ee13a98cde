"""Many processes at one store: ten that promote, some of them killed, and eight that write.

Ten promote in one home, and ten in two homes that share MLflow's and Prefect's servers.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.registry import CHAMPION, PREVIOUS, ModelVersion, Promoter
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.store import Store
from tests.champion.retraining.stored import DATASET, log_run
from tests.faults.commands import seconds_since
from tests.faults.servers import mlflow_server, prefect_server
from tests.recording import Recorded
from tests.running import DEADLINE, wait_until

NAME = f"{DATASET}-cnn"

# MLflow is imported once; then each of `count` forked processes calls `work(number)` at once.
FORKING = """
import json, os, sys, time
from pathlib import Path
from mlflow.store.model_registry import sqlalchemy_store
from cnn_pipeline.champion.registry import Promoter
from cnn_pipeline.champion.registry.promoter import ChampionChanged
from cnn_pipeline.tracking.store import Store, set_client_defaults
from cnn_pipeline.tracking.writer import Tracker

set_client_defaults()
uri, artifacts, lock, count = json.loads(sys.argv[1])

{work}

begin = time.time() + 1
children = []
for number in range(count):
    child = os.fork()
    if not child:
        time.sleep(max(0, begin - time.time()))
        work(number)
        os._exit(0)
    children.append(child)
print(*children, flush=True)
for child in children:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

PROMOTE = """
def work(number):
    promoter = Promoter(Store(uri, artifacts), Path(lock))
    version = promoter.version("toy-cnn", number + 2)
    try:
        promoter.promote(version, f"better: {number}", expected=1)
    except ChampionChanged:
        os._exit(3)
"""

# In the home `lock`; a promoter that lost against another one goes on against that.
PROMOTE_SHARED = """
import prefect.client.orchestration, prefect.concurrency.sync
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.register import registry_of

def work(number):
    promoter = registry_of(Home(Path(lock)), Store(uri, artifacts))

    def stand(step):
        if step == 4:
            Path(lock, "stands").touch()
            time.sleep(600)

    if count == 1:
        promoter._on_step = stand
    version = promoter.version("toy-cnn", FIRST + number)
    expected = 1
    while True:
        try:
            promoter.promote(version, f"better than {expected}", expected=expected)
            return
        except ChampionChanged:
            expected = promoter.by_alias("toy-cnn", "champion").version
"""

WRITE = """
def work(number):
    tracker = Tracker(Store(uri, artifacts))
    run_id = Path(lock).read_text().split()[number]
    curves = tracker.curves(run_id)
    wanted = {epoch: {"loss": number + epoch / 100, "val_loss": 1.0} for epoch in range(20)}
    for epoch, metrics in wanted.items():
        curves.add(epoch, metrics)
    curves.complete(wanted)
    tracker.log_files(run_id, {"own.txt": str(number)})
    tracker.tag(run_id, {"complete": "true"})
    tracker.end(run_id, "FINISHED")
"""


def start(
    work: str, store: Store, file: Path, count: int, **variables: str
) -> subprocess.Popen[str]:
    arguments = json.dumps([store.uri, store.artifacts_uri, str(file), count])
    return subprocess.Popen(
        [sys.executable, "-c", FORKING.replace("{work}", work), arguments],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **variables},
    )


def statuses(process: subprocess.Popen[str], seconds: float = DEADLINE) -> list[int]:
    output, _ = process.communicate(timeout=seconds)
    return [int(word) for word in output.split()]


def champions(promoter: Promoter) -> tuple[int | None, int | None]:
    """The champion's version, and that of the previous one."""
    found = [promoter.by_alias(NAME, alias) for alias in (CHAMPION, PREVIOUS)]
    champion, previous = (one.version if one else None for one in found)
    return champion, previous


def eleven_versions(
    home: Home, store: Store | None = None
) -> tuple[Store, Promoter, list[ModelVersion]]:
    """A registry with a champion, version 1, and ten versions that may follow it."""
    store = store or Store(home.database_uri, home.artifacts_uri)
    promoter = Promoter(store, home.state / "registry.lock")
    versions = [
        promoter.register(log_run(store, b"%d" % number), {"sweep_id": f"toy-{number}"})
        for number in range(11)
    ]
    promoter.promote(versions[0], "the first", expected=None)
    return store, promoter, versions


@pytest.mark.slow
def test_one_of_ten_promoters_wins(home: Home, recorded: Recorded) -> None:
    store, promoter, _ = eleven_versions(home)
    with recorded(fault="ten promoters at once", moment="each of another model", promises="I1 I6"):
        process = start(PROMOTE, store, home.state / "registry.lock", 10)
        assert process.stdout is not None
        process.stdout.readline()
        ended = statuses(process)
        assert sorted(ended) == [0, *[3] * 9]
        winner = ended.index(0) + 2
        assert champions(promoter) == (winner, 1)
        assert [one.champion_after for one in promoter.history(NAME)] == [1, winner]
        promoter.verify(promoter.version(NAME, winner))


@pytest.mark.slow
def test_promoters_that_are_killed_leave_one_champion(home: Home, recorded: Recorded) -> None:
    store, promoter, versions = eleven_versions(home)
    generator = random.Random(0)
    with recorded(
        fault="kill -9 of ten promoters", moment="at random within a second", promises="I1 I6 I7"
    ) as row:
        process = start(PROMOTE, store, home.state / "registry.lock", 10)
        assert process.stdout is not None
        children = [int(word) for word in process.stdout.readline().split()]
        time.sleep(1)
        for child in children:  # not yet reaped, so each id is still that of its process
            time.sleep(generator.uniform(0, 0.1))
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        begin = time.monotonic()
        ended = statuses(process)
        assert set(ended) <= {0, 3, -signal.SIGKILL}
        promoter.settle(NAME)
        row.recovered(seconds_since(begin))
        champion, previous = champions(promoter)
        history = [one.champion_after for one in promoter.history(NAME)]
        assert history == ([1] if champion == 1 else [1, champion])
        assert previous == (None if champion == 1 else 1)
        assert champion is not None
        promoter.verify(promoter.version(NAME, champion))
        if champion == 1:  # nobody got far enough: the lock is free and the next one wins
            promoter.promote(versions[1], "better", expected=1)
            assert champions(promoter) == (2, 1)


@pytest.mark.long
def test_ten_promoters_of_two_homes_follow_each_other(
    tmp_path: Path, home: Home, recorded: Recorded
) -> None:
    """The first one is killed in the middle of its promotion, while it holds the lease."""
    homes = Home(tmp_path / "one machine"), Home(tmp_path / "another machine")
    for place in homes:
        place.root.mkdir()
    with (
        mlflow_server(tmp_path / "mlflow") as mlflow,
        prefect_server(tmp_path / "prefect") as prefect,
        recorded(
            fault="kill -9 of one of ten promoters in two homes",
            moment="holds Prefect's lease, step 4",
            promises="I1 I6 I7",
        ) as row,
    ):
        store, promoter, _ = eleven_versions(home, Store(mlflow.address, None))
        variables = {"PREFECT_API_URL": prefect.address, "PREFECT_HOME": str(tmp_path / "user")}

        def promoters(place: Home, first: int, count: int) -> subprocess.Popen[str]:
            work = PROMOTE_SHARED.replace("FIRST", str(first))
            return start(work, store, place.root, count, **variables)

        first = promoters(homes[0], 2, 1)
        assert first.stdout is not None
        holder = int(first.stdout.readline())
        wait_until((homes[0].root / "stands").exists, "the first one to stand at step 4")
        others = promoters(homes[0], 3, 4), promoters(homes[1], 7, 5)
        for process in others:
            assert process.stdout is not None
            process.stdout.readline()
        time.sleep(5)
        assert champions(promoter) == (1, 1), "nobody else has promoted"
        os.kill(holder, signal.SIGKILL)
        begin = time.monotonic()
        assert statuses(first) == [-signal.SIGKILL]
        assert [statuses(process, 400) for process in others] == [[0] * 4, [0] * 5]
        row.recovered(seconds_since(begin))
        history = promoter.history(NAME)
        assert [one.number for one in history] == list(range(1, 12))
        assert sorted(one.version for one in history) == list(range(1, 12))
        for one, following in pairwise(history):
            assert following.champion_before == one.champion_after
        assert history[1].version == 2, "what the killed one had begun was completed first"
        assert champions(promoter) == (history[-1].version, history[-2].version)
        assert names.PENDING_DECISION not in promoter.model_tags(NAME)
        promoter.verify(promoter.version(NAME, history[-1].version))


@pytest.mark.slow
def test_eight_writers_lose_nothing(home: Home, recorded: Recorded) -> None:
    store = Store(home.database_uri, home.artifacts_uri)
    client = MlflowClient(store.uri)
    location = f"{store.artifacts_uri}/toy"
    experiment = client.create_experiment("toy", artifact_location=location)
    runs = [client.create_run(experiment).info.run_id for _ in range(8)]
    (home.state / "runs.txt").parent.mkdir(parents=True, exist_ok=True)
    (home.state / "runs.txt").write_text(" ".join(runs))
    with recorded(fault="eight writers at once", moment="on one SQLite store", promises="I3 I7"):
        process = start(WRITE, store, home.state / "runs.txt", 8)
        assert process.stdout is not None
        process.stdout.readline()
        assert statuses(process) == [0] * 8
        for number, run_id in enumerate(runs):
            run = client.get_run(run_id)
            assert run.info.status == "FINISHED"
            assert run.data.tags[names.COMPLETE] == "true"
            points = client.get_metric_history(run_id, "loss")
            assert sorted((one.step, one.value) for one in points) == [
                (epoch, number + epoch / 100) for epoch in range(20)
            ]
            assert (home.artifacts / "toy" / run_id / "artifacts" / "own.txt").read_text() == str(
                number
            )
