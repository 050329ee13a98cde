"""One sweep on three Ray nodes, with its runs in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.home import TRACKING_VARIABLE, Home
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.run import run_sweep
from cnn_pipeline.settings.engine import Engine
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.settings.trial import Variant
from cnn_pipeline.tracking import names
from tests.e2e import postgres
from tests.faults.nodes import head, node
from tests.faults.servers import mlflow_server
from tests.faults.test_go_on import NOT_TIMES, numbers
from tests.faults.test_servers_away import runs_of
from tests.running import QUICK, SAMPLE

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


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, dict[str, Run]]:
    """The sweep on this machine's own trainers, and its trials' runs by name."""
    home = Home(tmp_path_factory.mktemp("local"))
    outcome = run_sweep(GRID, home, workers=2)
    assert len(outcome.results) == 24
    return outcome, trials(home.database_uri)


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """A PostgreSQL with the database 'first'."""
    programs = postgres.programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    with postgres.cluster(programs, ("first",)) as host:
        yield f"postgresql://{host}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Ray cluster with two nodes. The test adds one of its own."""
    folder = tmp_path_factory.mktemp("nodes")
    with head(folder / "a") as address, node(folder / "b", f"--address={address}"):
        yield address


def trials(uri: str) -> dict[str, Run]:
    found = [run for run in runs_of(uri) if run.data.tags[names.KIND] == names.TRIAL_KIND]
    by_name = {run.data.tags[names.TRIAL]: run for run in found}
    assert len(by_name) == len(found), "a trial has two runs"
    return by_name


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
    assert {name: numbers(run) for name, run in found.items()} == {
        name: numbers(run) for name, run in local.items()
    }
    client = MlflowClient(uri)
    for run in found.values():
        points = client.get_metric_history(run.info.run_id, "loss")
        assert sorted(point.step for point in points) == list(range(EPOCHS))


def test_three_nodes_have_the_leaderboard_of_one_machine(
    local: tuple[Outcome, dict[str, Run]],
    cluster: str,
    store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = tmp_path / "shared"
    engine = Engine(engine="ray", ray_address=cluster, checkpoints=str(place))
    with (
        mlflow_server(tmp_path / "mlflow", store=f"{store}/first") as mlflow,
        node(tmp_path / "c", f"--address={cluster}"),
    ):
        monkeypatch.setenv(TRACKING_VARIABLE, mlflow.address)
        outcome = run_sweep(GRID, Home(tmp_path / "home"), engine=engine)
        assert leaderboard(outcome) == leaderboard(local[0])
        assert outcome.comparison.verdict.headline == local[0].comparison.verdict.headline
        assert_equal(mlflow.address, local[1])
        nodes = {run.data.tags[names.NODE] for run in trials(mlflow.address).values()}
    assert len(nodes) > 1  # a node may join when the others have trained all
