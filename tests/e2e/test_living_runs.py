"""Living runs, started in each way that there is: none is marked as crashed, and `down` ends them.

One set of servers serves the whole file, and all runs wait at the same time: for images that
another process is fetching. Only `run` has its images; its trainer is stopped by a signal. So
nothing here uses a core for long.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest
from filelock import FileLock
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Running as RunningState

from cnn_pipeline.base.home import Home
from cnn_pipeline.data.catalog import FASHION_MNIST
from cnn_pipeline.services.addresses import POOL, ServiceFolder
from cnn_pipeline.services.automations import HEARTBEAT, HEARTBEAT_SECONDS, install_automations
from cnn_pipeline.services.flow_runs import QUIET
from cnn_pipeline.services.loopback import HOST, free_port
from cnn_pipeline.services.running import Record
from cnn_pipeline.settings.trial import DataSettings
from tests.flows.test_flow import environment
from tests.running import (
    DEADLINE,
    SAMPLE,
    descendants,
    gone,
    one_trial,
    stop,
    trainers_below,
    wait_until,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parent.parent.parent
# More than one of our intervals, and far less than one of Prefect's.
SILENCE = datetime.timedelta(seconds=50)

FROM_PYTHON = """
import json, sys
from flows.retrain import retrain
retrain(json.loads(sys.argv[1]), home=sys.argv[2], return_state=True)
"""


@dataclass
class Team:
    """The services of one home, and the processes that use them."""

    folder: Path
    prefect_port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    @property
    def api(self) -> str:
        return f"http://{HOST}:{self.prefect_port}/api"

    def home(self, name: str) -> Home:
        return Home(self.folder / name)

    def start(self, name: str, *words: str, **variables: str) -> subprocess.Popen[str]:
        """A Python process with its output in a file, in a session of its own."""
        variables["CNN_PIPELINE_CACHE"] = str(self.folder / "cache")
        with (self.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, *words], cwd=ROOT, env=environment(self.folder, **variables),
                stdout=log, stderr=log, start_new_session=True, text=True,
            )  # fmt: skip
        self.processes[name] = process
        return process

    def screen(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cnn_pipeline.cli", *words],
            env=environment(self.folder, CNN_PIPELINE_CACHE=str(self.folder / "cache")),
            capture_output=True, text=True, timeout=2 * DEADLINE,
        )  # fmt: skip

    @contextlib.contextmanager
    def client(self) -> Iterator[SyncPrefectClient]:
        with SyncPrefectClient(self.api) as made:
            yield made

    def flow_runs(self, name: str) -> list[FlowRun]:
        with self.client() as client:
            return [run for run in client.read_flow_runs() if run.name == name]

    def running(self, name: str) -> bool:
        return any(run.state_type == StateType.RUNNING for run in self.flow_runs(name))


@dataclass(frozen=True)
class Begun:
    """Runs that are under way, each by how it was started."""

    team: Team
    ids: dict[str, UUID]
    lost: UUID
    """A run that has no process and was never heard of. It is older than the others."""
    since: float

    def beats(self, way: str) -> list[datetime.datetime]:
        """When the run was heard of, in order."""
        since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        with self.team.client() as client:
            answer = client.request(
                "POST",
                "/events/filter",
                json={
                    "filter": {
                        "event": {"name": [HEARTBEAT]},
                        "resource": {"id": [f"prefect.flow-run.{self.ids[way]}"]},
                        "occurred": {"since": since.isoformat()},
                    },
                    "limit": 50,
                },
            )
        heard = [event["occurred"] for event in answer.json()["events"]]
        return sorted(map(datetime.datetime.fromisoformat, heard))


NAMES = {"command": "filters-and-pooling", "configured": "retrain", "python": "one"}
"""Of the runs that no worker started."""
WAYS = ("command", "configured", "python", "up", "own", "second")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, _migrated_store: Path) -> Iterator[Begun]:
    team = Team(tmp_path_factory.mktemp("team"))
    homes = {
        name: team.home(name) for name in ("up", "worker", "own", "second", "python", "configured")
    }
    for home in homes.values():
        home.artifacts.mkdir(parents=True)
        shutil.copy(_migrated_store, home.database)
    with contextlib.ExitStack() as stack:
        fetching = team.folder / "cache" / FASHION_MNIST.name
        fetching.mkdir(parents=True)
        stack.enter_context(FileLock(fetching / f".{FASHION_MNIST.files[0].name}.lock"))
        stack.callback(_end, team)
        yield _begin(team, homes)


def _begin(team: Team, homes: dict[str, Home]) -> Begun:
    up = str(homes["up"].root)
    mlflow = str(free_port())
    ports = ["--prefect-port", str(team.prefect_port), "--mlflow-port", mlflow]
    team.start("up", "-m", "cnn_pipeline.cli", "up", "--home", up, *ports)
    up_says = functools.partial(team.screen, "up")
    wait_until(lambda: "Press Ctrl-C to stop" in up_says(), "the services answer", 3 * DEADLINE)
    with team.client() as client:
        install_automations(client, silence=SILENCE)
        training = client.read_deployment_by_name("train-variants/train-variants")
        lost = client.create_flow_run_from_deployment(training.id, state=RunningState())
    os.kill(_worker(homes["up"]), signal.SIGSTOP)

    # Beside `up`: a sweep that would train for hours.
    command = team.start(
        "command", "-m", "cnn_pipeline.cli", "run", "--home", up,
        "--data", SAMPLE.source, "--train-limit", "600", "--validation-size", "500",
        "--filters", "2", "--pooling", "max", "--epochs", "10000", "--threads", "1",
        "--seeds", "0,1", "--workers", "1",
    )  # fmt: skip
    # With PREFECT_API_URL, and from Python.
    sweep = one_trial(data=DataSettings()).model_dump_json()
    home = {name: str(homes[name].root) for name in ("configured", "python")}
    for name, words in {
        "configured": ["-m", "cnn_pipeline.cli", "retrain", "--home", home["configured"]],
        "python": ["-c", FROM_PYTHON, sweep, home["python"]],
    }.items():
        team.start(name, *words, PREFECT_API_URL=team.api)

    # Two workers of one's own. Each takes one run, and the third is left to the worker of `up`.
    own = {
        "PREFECT_API_URL": team.api,
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "MLFLOW_TRACKING_URI": f"http://{HOST}:{mlflow}",
    }
    for name in ("own", "second"):
        team.start(
            name, "-m", "prefect", "worker", "start", "--pool", POOL, "--limit", "1",
            CNN_PIPELINE_HOME=str(homes[name].root), **own,
        )  # fmt: skip
    ids = {name: _deployed(team, f"sweep-{name}") for name in ("own", "second")}
    for name in ids:
        wait_until(functools.partial(team.running, f"sweep-{name}"), f"sweep-{name} runs")
    os.kill(_worker(homes["up"]), signal.SIGCONT)
    # Not in the home of `up`, where it would wait for the sweep of the command.
    ids["up"] = _deployed(team, "sweep-up", home=str(homes["worker"].root))
    wait_until(functools.partial(team.running, "sweep-up"), "sweep-up runs")
    for name, run in NAMES.items():
        wait_until(functools.partial(team.running, run), f"{run} runs")
        (found,) = team.flow_runs(run)
        ids[name] = found.id
    wait_until(lambda: bool(trainers_below(command.pid)), "the trainer is there")
    for pid in trainers_below(command.pid):
        os.kill(pid, signal.SIGSTOP)
    return Begun(team, ids, lost.id, time.monotonic())


def _deployed(team: Team, name: str, **parameters: object) -> UUID:
    sweep = one_trial(data=DataSettings()).model_copy(update={"name": name})
    with team.client() as client:
        deployment = client.read_deployment_by_name("train-variants/train-variants")
        parameters |= {"sweep": sweep.model_dump(mode="json"), "workers": 1}
        return client.create_flow_run_from_deployment(deployment.id, parameters=parameters).id


def _worker(home: Home) -> int:
    record = Record.load(ServiceFolder.of(home))
    assert record is not None
    return record.services["worker"].pid


def _end(team: Team) -> None:
    team.command("down", "--home", str(team.home("up").root))
    for process in team.processes.values():
        if process.poll() is None:
            stop(process)


def test_no_living_run_is_marked_as_crashed(begun: Begun) -> None:
    assert set(begun.ids) == set(WAYS)
    end = begun.since + SILENCE.total_seconds() + 20
    time.sleep(max(0.0, end - time.monotonic()))
    with begun.team.client() as client:
        states = {way: client.read_flow_run(run).state_type for way, run in begun.ids.items()}
    assert states == dict.fromkeys(WAYS, StateType.RUNNING)
    for way in WAYS:
        beats = begun.beats(way)
        gaps = [(after - before).total_seconds() for before, after in itertools.pairwise(beats)]
        assert len(gaps) >= 2, way
        assert max(gaps) < 1.5 * HEARTBEAT_SECONDS, (way, gaps)


def test_doctor_names_the_run_that_was_never_heard_of(begun: Begun) -> None:
    time.sleep(max(0.0, begun.since + QUIET.total_seconds() - time.monotonic()))
    home = str(begun.team.home("up").root)
    done = begun.team.command("doctor", "--home", home, "--json")
    runs = [item for item in json.loads(done.stdout)["findings"] if item["name"] == "runs"]
    (found,) = runs
    with begun.team.client() as client:
        name = client.read_flow_run(begun.lost).name
    assert found["level"] == "fail" and done.returncode == 1
    assert found["message"].startswith(f"{name} is Running since ")
    assert found["message"].endswith("but has never sent a heartbeat")
    _, _, remedy = found["remedy"].partition("cnn-pipeline ")
    ended = begun.team.command(*remedy.split(), "--home", home)
    assert ended.stdout == f"{name} is marked as crashed\n", ended.stderr


# The last test: nothing runs after it.
def test_down_ends_the_runs_of_other_processes_and_both_say_so(begun: Begun) -> None:
    team = begun.team
    commands = {name: team.processes[name] for name in ("command", "configured", "python")}
    families = {pid for p in commands.values() for pid in [p.pid, *descendants(p.pid)]}
    families |= trainers_below(commands["command"].pid)
    flows = {pid for name in ("own", "second") for pid in descendants(team.processes[name].pid)}
    assert len(flows) >= 2

    done = team.command("down", "--home", str(team.home("up").root))
    assert done.returncode == 0, done.stderr
    *cancelled, last = done.stdout.splitlines()
    assert last == "stopped"
    others = {*NAMES.values(), "sweep-own", "sweep-second"}
    assert {line.split(":")[0].removeprefix("cancelling ") for line in cancelled} == others
    assert all(
        line.endswith("another process runs it with this Prefect server") for line in cancelled
    )
    assert all(line in team.screen("up") for line in cancelled)

    end = time.monotonic() + 10
    while not gone(families | flows):
        assert time.monotonic() < end, "no process is left after 10 s"
        time.sleep(0.1)
    for name in ("command", "configured"):
        assert commands[name].wait(timeout=10) == 130
        screen = team.screen(name)
        assert "error: cancelled in Prefect: `cnn-pipeline down`" in screen
        assert "Event(" not in screen and "Traceback" not in screen, screen
    assert "Run the same command again to go on" in team.screen("command")
    assert "Event(" not in team.screen("up")
