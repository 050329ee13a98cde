"""One sweep on three Ray nodes, while what it needs is killed.

Runs are in a real PostgreSQL, and checkpoints in a folder or in moto's server, which speaks S3.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import boto3
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.home import TRACKING_VARIABLE, Home
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.run import run_sweep
from cnn_pipeline.network.place import Place
from cnn_pipeline.settings.engine import Engine
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.settings.trial import Variant
from cnn_pipeline.tracking import names
from tests.e2e import postgres
from tests.faults.commands import Command, command, seconds_since
from tests.faults.nodes import head, node
from tests.faults.servers import mlflow_server
from tests.faults.test_go_on import NOT_TIMES, numbers
from tests.faults.test_servers_away import runs_of
from tests.recording import Recorded
from tests.running import DEADLINE, QUICK, SAMPLE, wait_until

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1800)]

EPOCHS = 2
GRID = Sweep(
    name="grid",
    axes=Axes(filters=(2, 3), pooling=("max", "none")),
    variant=Variant(dense_units=16),
    seeds=(0, 1, 2, 3, 4, 5),
    training=QUICK.model_copy(update={"epochs": EPOCHS}),
    data=SAMPLE,
)
RUN = (
    "run", "--filters", "2,3", "--pooling", "max,none", "--dense-units", "16",
    "--seeds", "0,1,2,3,4,5", "--epochs", str(EPOCHS), "--batch-size", "64", "--threads", "1",
    "--precision", "float32", "--data", SAMPLE.source, "--validation-size", "500",
    "--train-limit", "600",
)  # fmt: skip
PATIENCE = 5 * DEADLINE  # three trainers import TensorFlow at once


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, dict[str, Run]]:
    """The sweep on this machine's own trainers, and its trials' runs by name."""
    home = Home(tmp_path_factory.mktemp("local"))
    outcome = run_sweep(GRID, home, workers=2)
    assert len(outcome.results) == 24
    return outcome, trials(home.database_uri)


@pytest.fixture(scope="module")
def store() -> Iterator[postgres.Postgres]:
    """A PostgreSQL with the databases 'first' and 'second'."""
    with postgres.cluster(postgres.programs_or_skip(), ("first", "second")) as running:
        yield running


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Address of a bucket, whose keys are in the environment."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test-key")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield "s3://bucket/checkpoints"
    server.stop()


@pytest.fixture(scope="module")
def cluster(bucket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Ray cluster with two nodes. Each test adds one of its own."""
    folder = tmp_path_factory.mktemp("nodes")
    with head(folder / "a") as first, node(folder / "b", f"--address={first.address}"):
        yield first.address


def reached(running: Command, count: int) -> None:
    """Wait until so many trials have finished."""

    def there() -> bool:
        assert running.process.poll() is None, running.said()
        return running.said().count(": finished in ") >= count

    wait_until(there, f"{count} trials", PATIENCE)


def trials(uri: str) -> dict[str, Run]:
    found = [run for run in runs_of(uri) if run.data.tags[names.KIND] == names.TRIAL_KIND]
    by_name = {run.data.tags[names.TRIAL]: run for run in found}
    assert len(by_name) == len(found), "a trial has two runs"
    return by_name


def finished(uri: str) -> dict[str, Run]:
    return {name: run for name, run in trials(uri).items() if run.info.status == "FINISHED"}


def leaderboard(outcome: Outcome) -> list[dict[str, Any]]:
    """Without the ids of runs and what is measured in seconds."""
    other = ("run_ids", *NOT_TIMES)
    return [
        {k: v for k, v in asdict(row).items() if not any(word in k for word in other)}
        for row in outcome.comparison.rows
    ]


def assert_equal(uri: str, local: dict[str, Run]) -> None:
    """All runs ended, with the numbers of the local ones digit for digit, each epoch once."""
    assert {run.info.status for run in runs_of(uri)} == {"FINISHED"}
    found = trials(uri)
    assert found.keys() == local.keys()
    for name, run in found.items():
        assert numbers(run) == numbers(local[name])
    client = MlflowClient(uri)
    for run in found.values():
        points = client.get_metric_history(run.info.run_id, "loss")
        assert sorted(point.step for point in points) == list(range(EPOCHS))


def test_three_nodes_have_the_leaderboard_of_one_machine(
    local: tuple[Outcome, dict[str, Run]],
    cluster: str,
    store: postgres.Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = tmp_path / "shared"
    engine = Engine(engine="ray", ray_address=cluster, checkpoints=str(place))
    with (
        mlflow_server(tmp_path / "mlflow", store=f"postgresql://{store.host}/first") as mlflow,
        node(tmp_path / "c", f"--address={cluster}"),
    ):
        monkeypatch.setenv(TRACKING_VARIABLE, mlflow.address)
        outcome = run_sweep(GRID, Home(tmp_path / "home"), engine=engine)
        assert leaderboard(outcome) == leaderboard(local[0])
        assert outcome.comparison.verdict.headline == local[0].comparison.verdict.headline
        assert_equal(mlflow.address, local[1])
        nodes = {run.data.tags[names.NODE] for run in trials(mlflow.address).values()}
    assert len(nodes) > 1  # a node may join when the others have trained all


def test_a_node_the_command_and_both_servers_are_killed(
    local: tuple[Outcome, dict[str, Run]],
    cluster: str,
    store: postgres.Postgres,
    bucket: str,
    tmp_path: Path,
    recorded: Recorded,
) -> None:
    """A node is killed in the middle of a trial, then the command; another node joins, PostgreSQL
    is killed, then MLflow's server.
    """
    home = Home(tmp_path / "home")
    words = (*RUN, "--engine", "ray", "--ray-address", cluster, "--checkpoints", bucket)
    pause_file = tmp_path / "pause"
    pausing = {
        "PAUSE_AT": "cnn_pipeline.trainers.trial _Reporter.on_epoch",
        "PAUSE_FILE": str(pause_file),
        "PYTHONPATH": str(Path(__file__).parent / "pausing"),
    }
    with (
        recorded(
            fault="kill -9 of a node of Ray, of the command, of PostgreSQL and of MLflow's server",
            moment="in a trial's second epoch; after 8 of 24 trials; 4 later; 4 later",
            promises="I3 I5 I6 I7",
        ) as row,
        mlflow_server(tmp_path / "mlflow", store=f"postgresql://{store.host}/second") as mlflow,
        node(tmp_path / "c", f"--address={cluster}", **pausing) as lost,
    ):
        uri = mlflow.address

        with command(home, *words, MLFLOW_TRACKING_URI=uri) as first:
            wait_until(
                lambda: pause_file.exists() or first.process.poll() is not None,
                "an epoch",
                PATIENCE,
            )
            assert pause_file.exists(), first.said()
            (kept,) = (lost.folder / "cache" / "checkpoints").iterdir()
            shared = Place(f"{bucket}/{kept.name}")
            wait_until(lambda: bool(shared.names()), "its checkpoint is shared")
            lost.kill()
            killed = time.monotonic()
            resumes = f"goes on after epoch 1 of {EPOCHS}"
            wait_until(lambda: resumes in first.said(), "the trial goes on elsewhere", PATIENCE)
            assert "was lost; it goes on elsewhere" in first.said()
            reached(first, 8)
            first.kill_all()
        before = finished(uri)
        with command(home, *words, MLFLOW_TRACKING_URI=uri) as again:
            reached(again, 1)
            with node(tmp_path / "d", f"--address={cluster}"):
                wait_until(lambda: "joined" in again.said(), "the new node is used", PATIENCE)
                reached(again, 4)
                store.stop()
                time.sleep(5)
                store.start()
                reached(again, 8)
                mlflow.kill()
                mlflow.start()
                assert again.wait(PATIENCE) == 0, again.said()
        row.recovered(seconds_since(killed))

        assert_equal(uri, local[1])
        after = trials(uri)
        for name, run in before.items():
            assert f"{name}: training" not in again.said(), "a trial was trained twice"
            assert (after[name].info.run_id, after[name].info.end_time) == (
                run.info.run_id,
                run.info.end_time,
            )
        (sweep,) = (run for run in runs_of(uri) if run.data.tags[names.KIND] == names.SWEEP_KIND)
        assert sweep.data.tags[names.VERDICT] == local[0].comparison.verdict.headline
    objects = boto3.client("s3").list_objects_v2(Bucket="bucket").get("Contents", [])
    assert [one["Key"] for one in objects if one["Size"]] == []  # the others stand for folders


def test_the_head_is_lost_and_the_sweep_goes_on_with_another(
    local: tuple[Outcome, dict[str, Run]], tmp_path: Path, recorded: Recorded
) -> None:
    """Ray ends what is connected to a lost head. The command ends before, and says what to do."""
    home = Home(tmp_path / "home")
    words = (*RUN, "--engine", "ray", "--checkpoints", str(tmp_path / "shared"))
    with (
        recorded(
            fault="kill -9 of the head of a Ray cluster",
            moment="after 4 of 24 trials; another is started",
            promises="I3 I5 I6 I7",
        ) as row,
        mlflow_server(tmp_path / "mlflow") as mlflow,
    ):
        own = {"MLFLOW_TRACKING_URI": mlflow.address}
        with (
            head(tmp_path / "a") as first,
            node(tmp_path / "b", f"--address={first.address}"),
            command(home, *words, "--ray-address", first.address, **own) as running,
        ):
            reached(running, 4)
            first.kill()
            killed = time.monotonic()
            assert running.wait(60) == 1, running.said()
        said = running.said()
        assert "the head of the Ray cluster did not answer for 20 s" in said
        assert "run the same command again" in said.splitlines()[-1]
        assert "Failed to connect to GCS" not in said  # that is Ray's end of a process
        assert {run.info.status for run in runs_of(mlflow.address)} == {"FINISHED", "KILLED"}
        before = finished(mlflow.address)
        with (
            head(tmp_path / "c") as second,
            command(home, *words, "--ray-address", second.address, **own) as again,
        ):
            assert again.wait(PATIENCE) == 0, again.said()
        row.recovered(seconds_since(killed))
        assert_equal(mlflow.address, local[1])
        assert not [name for name in before if f"{name}: training" in again.said()]
