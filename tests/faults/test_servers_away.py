"""MLflow's and Prefect's servers killed, frozen and started again while a sweep trains."""

from __future__ import annotations

import collections
import contextlib
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from prefect.client.orchestration import SyncPrefectClient

from cnn_pipeline.base.home import Home
from cnn_pipeline.tracking import names
from tests.e2e import postgres
from tests.faults.commands import Command, command, run_again, seconds_since
from tests.faults.servers import (
    Server,
    kill,
    mlflow_server,
    prefect_server,
    temporary_prefect,
)
from tests.recording import Recorded
from tests.running import DEADLINE, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EPOCHS = 30
# One small network, with enough epochs for a fault of some seconds in their middle.
RUN = (
    "run", "--filters", "2", "--pooling", "max", "--seeds", "0", "--workers", "1",
    "--data", "fashion-mnist-sample", "--validation-size", "500", "--train-limit", "600",
    "--epochs", str(EPOCHS), "--batch-size", "64", "--threads", "1",
)  # fmt: skip
CURVES = {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "epoch_seconds"}
NORMAL = 60  # seconds from the last epoch to the end of the command on a busy machine


def wait_for_epoch(running: Command, number: int, seconds: float = 3 * DEADLINE) -> None:
    """Return when this epoch, from 1, was trained."""

    def there() -> bool:
        assert running.process.poll() is None, running.said()
        return f" epoch {number}/" in running.said()

    wait_until(there, f"epoch {number}", seconds)


def runs_of(uri: str) -> list[Run]:
    client = MlflowClient(uri)
    return list(client.search_runs([one.experiment_id for one in client.search_experiments()]))


@pytest.fixture
def database() -> Iterator[postgres.Postgres]:
    """A PostgreSQL with the databases 'mlflow' and 'prefect'."""
    with postgres.cluster(postgres.programs_or_skip(), ("mlflow", "prefect")) as running:
        yield running


def assert_whole(uri: str) -> None:
    """One sweep with one complete trial, and each point of its curves once."""
    runs = runs_of(uri)
    kinds = collections.Counter(run.data.tags[names.KIND] for run in runs)
    assert kinds == {names.SWEEP_KIND: 1, names.TRIAL_KIND: 1}
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    (trial,) = (run for run in runs if run.data.tags[names.KIND] == names.TRIAL_KIND)
    (sweep,) = (run for run in runs if run.data.tags[names.KIND] == names.SWEEP_KIND)
    assert trial.data.tags[names.COMPLETE] == "true"
    assert sweep.data.tags[names.VERDICT]
    client = MlflowClient(uri)
    for key in CURVES:
        steps = [point.step for point in client.get_metric_history(trial.info.run_id, key)]
        assert sorted(steps) == list(range(EPOCHS)), key
    models = client.search_logged_models([trial.info.experiment_id])
    assert [(model.source_run_id, model.status) for model in models] == [
        (trial.info.run_id, "READY")
    ]
    assert client.list_artifacts(trial.info.run_id)


def assert_prefect_shows(server: sqlite3.Connection) -> None:
    """The flow, its tasks and its artifacts, as Prefect's database has them."""
    assert server.execute("select state_type from flow_run").fetchall() == [("COMPLETED",)]
    tasks = dict(server.execute("select name, state_type from task_run").fetchall())
    assert set(tasks.values()) == {"COMPLETED"}
    assert {name.split()[0] for name in tasks} == {"fetch", "train", "compare"}
    keys = {key for (key,) in server.execute("select key from artifact").fetchall()}
    assert keys == {"progress", "mlflow", "details", "verdict"}


def test_both_servers_die_while_a_sweep_trains(
    home: Home, tmp_path: Path, recorded: Recorded
) -> None:
    """MLflow's is frozen, killed and started again; Prefect's temporary one is killed."""
    fault = "MLflow's server frozen, killed, started again; Prefect's temporary server killed"
    with (
        recorded(fault=fault, moment="epochs 2 to 14 of 30", promises="I3 I7") as row,
        mlflow_server(tmp_path / "mlflow") as mlflow,
        command(home, *RUN, MLFLOW_TRACKING_URI=mlflow.address) as running,
    ):
        wait_for_epoch(running, 2)
        mlflow.freeze()
        kill(temporary_prefect(running.process.pid))
        wait_for_epoch(running, 8)
        mlflow.kill()
        wait_for_epoch(running, 14)
        mlflow.start()
        begin = time.monotonic()
        wait_for_epoch(running, EPOCHS)
        assert running.wait(NORMAL) == 0, running.said()
        row.recovered(seconds_since(begin))
        said = running.said()
        assert said.count("training goes on, and the curves are written when it does") == 1, said
        assert said.count("Prefect's temporary server died, and was started again") == 1, said
        assert_whole(mlflow.address)
    with contextlib.closing(sqlite3.connect(home.state / "prefect" / "prefect.db")) as database:
        assert_prefect_shows(database)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port whose socket accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        for one in accepted:
            one.close()


def test_a_prefect_server_that_never_answers_is_refused(
    home: Home, silent: int, recorded: Recorded
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    addresses = {
        f"http://127.0.0.1:{silent}/api": "timed out",
        f"http://127.0.0.1:{nobody}/api": "refused",
    }
    with (
        recorded(fault="PREFECT_API_URL of a black hole", moment="start", promises="I8"),
        contextlib.ExitStack() as stack,
    ):
        begin = time.monotonic()
        started = {
            address: stack.enter_context(command(home, *RUN, PREFECT_API_URL=address))
            for address in addresses
        }
        for address, running in started.items():
            assert running.wait(DEADLINE) == 1, running.said()
            last = running.said().splitlines()[-1]
            assert last.startswith(f"error: the Prefect server must answer at {address}, "), last
            assert addresses[address] in last and "Nothing was trained." in last, last
            assert "epoch" not in running.said()
        assert seconds_since(begin) < 15 + 30  # of imports, two at once
    assert not home.database.exists() or runs_of(home.database_uri) == []


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """An SQLite file that nobody else can read or write."""
    with contextlib.closing(sqlite3.connect(database, timeout=30, isolation_level=None)) as one:
        one.execute("begin exclusive")
        yield
        one.execute("rollback")


@pytest.mark.parametrize("seconds", [pytest.param(10, marks=pytest.mark.long), 60])
@pytest.mark.long
def test_a_locked_store_is_waited_for(home: Home, recorded: Recorded, seconds: int) -> None:
    moment = f"for {seconds} s, from the last epochs"
    with (
        recorded(fault="SQLite locked", moment=moment, promises="I3 I7") as row,
        command(home, *RUN) as running,
    ):
        wait_for_epoch(running, EPOCHS - 3)
        begin = time.monotonic()
        with locked(home.database):
            time.sleep(seconds)
        assert running.wait(DEADLINE) == 0, running.said()
        row.recovered(seconds_since(begin))
        assert_whole(home.database_uri)


@pytest.mark.long
@pytest.mark.parametrize("how", ["killed", "frozen"])
@pytest.mark.parametrize("away", [5, 20, 120])
def test_mlflow_is_away_at_the_end_of_a_trial(
    home: Home, tmp_path: Path, recorded: Recorded, how: str, away: int
) -> None:
    moment = f"for {away} s, from the last epochs"
    with (
        recorded(fault=f"MLflow's server {how}", moment=moment, promises="I3 I7") as row,
        mlflow_server(tmp_path / "mlflow") as mlflow,
        command(home, *RUN, MLFLOW_TRACKING_URI=mlflow.address) as running,
    ):
        wait_for_epoch(running, EPOCHS - 2)
        begin = time.monotonic()
        mlflow.kill() if how == "killed" else mlflow.freeze()
        time.sleep(away)
        mlflow.start() if how == "killed" else mlflow.thaw()
        assert running.wait(2 * DEADLINE) == 0, running.said()
        row.recovered(seconds_since(begin))
        assert_whole(mlflow.address)


@pytest.mark.long
def test_mlflow_stays_away_and_the_next_command_logs_the_network(
    home: Home, tmp_path: Path, recorded: Recorded
) -> None:
    with (
        recorded(
            fault="MLflow's server killed", moment="for good, from epoch 20", promises="I3 I5 I7"
        ) as row,
        mlflow_server(tmp_path / "mlflow") as mlflow,
    ):
        with command(home, *RUN, MLFLOW_TRACKING_URI=mlflow.address) as running:
            wait_for_epoch(running, 20)
            mlflow.kill()
            wait_for_epoch(running, EPOCHS)
            assert running.wait(300) == 1
            said = running.said()
        assert f"MLflow at {mlflow.address} did not answer for 150 s" in said
        assert "run the same command again" in said.splitlines()[-1]
        begin = time.monotonic()
        mlflow.start()
        status, said = run_again(home, *RUN, MLFLOW_TRACKING_URI=mlflow.address)
        assert status == 0, said
        assert f"goes on after epoch {EPOCHS} of {EPOCHS}" in said  # nothing was trained
        row.recovered(seconds_since(begin))
        assert_whole(mlflow.address)


@pytest.mark.long
def test_mlflow_with_a_password_is_away(home: Home, tmp_path: Path, recorded: Recorded) -> None:
    folder = tmp_path / "mlflow"
    folder.mkdir()
    config = folder / "auth.ini"
    config.write_text(
        "[mlflow]\ndefault_permission = READ\nadmin_username = admin\n"
        f"admin_password = a-long-password\ndatabase_uri = sqlite:///{folder}/auth.db\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    user = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "a-long-password"}
    with (
        pytest.MonkeyPatch.context() as patch,
        recorded(fault="MLflow's server with a password killed", moment="epoch 5", promises="I7"),
    ):
        patch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(config))
        patch.setenv("MLFLOW_FLASK_SERVER_SECRET_KEY", "any")
        for name, value in user.items():
            patch.setenv(name, value)
        with (
            mlflow_server(folder, "--app-name", "basic-auth") as mlflow,
            command(home, *RUN, MLFLOW_TRACKING_URI=mlflow.address, **user) as running,
        ):
            wait_for_epoch(running, 5)
            mlflow.kill()
            wait_for_epoch(running, 10)
            mlflow.start()
            assert running.wait(2 * DEADLINE) == 0, running.said()
            assert "a-long-password" not in running.said()
            assert_whole(mlflow.address)


@pytest.mark.long
@pytest.mark.parametrize("moment", [5, EPOCHS - 2])
def test_the_database_of_both_servers_is_restarted(
    home: Home, tmp_path: Path, recorded: Recorded, database: postgres.Postgres, moment: int
) -> None:
    stores = f"postgresql://{database.host}/mlflow", f"postgresql+asyncpg://{database.host}/prefect"
    when = f"for 20 s, from epoch {moment} of {EPOCHS}"
    with (
        recorded(fault="PostgreSQL killed", moment=when, promises="I3 I7") as row,
        mlflow_server(tmp_path / "mlflow", store=stores[0]) as mlflow,
        prefect_server(tmp_path / "prefect", store=stores[1]) as prefect,
        command(
            home, *RUN, MLFLOW_TRACKING_URI=mlflow.address, PREFECT_API_URL=prefect.address
        ) as running,
    ):
        wait_for_epoch(running, moment)
        begin = time.monotonic()
        database.stop()
        time.sleep(20)
        database.start()
        assert running.wait(2 * DEADLINE) == 0, running.said()
        row.recovered(seconds_since(begin))
        assert flow_states(prefect) == ["Completed"]
        assert_whole(mlflow.address)


def flow_states(server: Server) -> list[str]:
    with SyncPrefectClient(server.address) as client:
        return [run.state_name or "" for run in client.read_flow_runs()]


@pytest.mark.long
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_configured_prefect_server_is_away_for_a_while(
    home: Home, tmp_path: Path, recorded: Recorded, how: str
) -> None:
    with (
        recorded(fault=f"Prefect's server {how}", moment="for 20 s", promises="I3 I7") as row,
        prefect_server(tmp_path / "prefect") as prefect,
        command(home, *RUN, PREFECT_API_URL=prefect.address) as running,
    ):
        wait_for_epoch(running, EPOCHS - 5)
        begin = time.monotonic()
        prefect.kill() if how == "killed" else prefect.freeze()
        time.sleep(20)
        prefect.start() if how == "killed" else prefect.thaw()
        assert running.wait(2 * DEADLINE) == 0, running.said()
        row.recovered(seconds_since(begin))
        assert flow_states(prefect) == ["Completed"]
        assert_whole(home.database_uri)


@pytest.mark.long
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_configured_prefect_server_is_gone_for_good(
    home: Home, tmp_path: Path, recorded: Recorded, how: str
) -> None:
    with (
        recorded(fault=f"Prefect's server {how}", moment="for good", promises="I3 I7") as row,
        prefect_server(tmp_path / "prefect") as prefect,
        command(home, *RUN, PREFECT_API_URL=prefect.address) as running,
    ):
        wait_for_epoch(running, 5)
        prefect.kill() if how == "killed" else prefect.freeze()
        wait_for_epoch(running, EPOCHS)
        begin = time.monotonic()
        assert running.wait(150) == 0, running.said()
        row.recovered(seconds_since(begin))
        assert "stays away: its pages do not show how this ends" in running.said()
        assert_whole(home.database_uri)
