"""Each check that needs no server finds what was damaged, and says what to do."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import json
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.base.shell import MLFLOW, PREFECT
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.data.catalog import FASHION_MNIST
from cnn_pipeline.services.addresses import Addresses, Ports, ServiceFolder
from cnn_pipeline.services.doctor import FAIL, OK, WARN, Finding, machine, runs, servers
from cnn_pipeline.services.doctor.finding import failed
from cnn_pipeline.services.doctor.machine import check_data, check_disk, check_versions
from cnn_pipeline.services.doctor.servers import check_named_prefect, check_ports, check_servers
from cnn_pipeline.services.doctor.store import check_prefect_store, check_store
from cnn_pipeline.services.running import Running
from cnn_pipeline.tracking.store import open_store
from cnn_pipeline.tracking.writer import Tracker


def levels(findings: list[Finding]) -> list[str]:
    return [finding.level for finding in findings]


def of(findings: list[Finding], name: str) -> Finding:
    (found,) = [finding for finding in findings if finding.name == name]
    return found


@pytest.fixture
def used(home: Home) -> Home:
    """A home whose store has addresses in it."""
    Tracker(open_store(home, {})).experiment("fashion-mnist-cnn")
    (home.artifacts / "fashion-mnist-cnn").mkdir()
    return home


def test_versions_outside_of_their_bounds_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        importlib.metadata,
        "requires",
        lambda name: ["click<1", "there-is-no-such", "rich>=1", "absent>=1; extra == 'gpu'"],
    )
    findings = check_versions()
    assert levels(findings) == [FAIL, FAIL]
    assert findings[0].message.startswith("click must be <1, received ")
    assert findings[1].message == "there-is-no-such must be installed (any version), and is not"
    assert "make install" in findings[0].remedy


def test_a_gpu_that_the_backend_does_not_use_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr(machine, "has_gpu", lambda: True)
    (unused,) = machine.check_gpu(lambda: 0)
    assert unused.level == WARN
    assert "tensorflow does not use it: networks train on the processor" in unused.message
    assert '".[gpu]"' in unused.remedy and "CUDA_VISIBLE_DEVICES" in unused.remedy
    assert machine.check_gpu(lambda: 2) == [Finding(OK, "gpu", "tensorflow uses 2 GPUs")]
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    (unused,) = machine.check_gpu(lambda: 0)
    assert "jax does not use it" in unused.message and "jax[cuda13]" in unused.remedy
    monkeypatch.setattr(machine, "has_gpu", lambda: False)
    assert machine.check_gpu(lambda: pytest.fail("asked for nothing")) == []


def test_ignored_variables_of_the_shell_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped = {MLFLOW: ("MLFLOW_RUN_ID", "_MLFLOW_MARK"), PREFECT: ()}
    monkeypatch.setattr(machine, "drop_foreign", dropped.get)
    (found,) = machine.check_shell()
    assert found.level == OK and found.message.startswith("MLFLOW_RUN_ID is set, and ignored here")
    monkeypatch.setattr(machine, "drop_foreign", lambda prefixes: ())
    assert machine.check_shell() == []


def test_the_remedy_for_a_dead_prefect_server_is_where_its_address_came_from(
    monkeypatch: pytest.MonkeyPatch, named: Callable[[str], None]
) -> None:
    api = "http://127.0.0.1:1/api"
    named(api)
    monkeypatch.setenv("PREFECT_API_URL", api)
    assert check_named_prefect(api).remedy == "start it, or correct or unset PREFECT_API_URL"
    monkeypatch.delenv("PREFECT_API_URL")
    found = check_named_prefect(api)
    assert found.message.startswith(f"{api} must answer, received: ")
    assert "Prefect's profile " in found.remedy and "prefect profile use NAME" in found.remedy


def test_a_deleted_experiment_is_told_with_the_command_that_restores_it(used: Home) -> None:
    MlflowClient(used.database_uri).delete_experiment("1")
    found = of(check_store(used, {}), "experiments")
    assert found.level == WARN and found.message.startswith("fashion-mnist-cnn was deleted: ")
    assert found.remedy == (
        f"restore it: MLFLOW_TRACKING_URI={used.database_uri!r} mlflow experiments restore "
        "--experiment-id 1"
    )


def test_little_space_is_a_warning_and_none_a_failure(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_LITTLE_SPACE", 0)
    monkeypatch.setattr(machine, "_NO_SPACE", 0)
    assert check_disk(home, tmp_path / "not" / "yet").level == OK
    monkeypatch.setattr(machine, "_LITTLE_SPACE", 2**80)
    assert check_disk(home, tmp_path).level == WARN
    monkeypatch.setattr(machine, "_NO_SPACE", 2**80)
    found = check_disk(home, tmp_path)
    assert found.level == FAIL and "mlflow gc" in found.remedy


def test_missing_data_and_damaged_data_are_told_apart(tmp_path: Path) -> None:
    missing = check_data(tmp_path)
    assert missing.level == WARN and "not in" in missing.message
    folder = tmp_path / FASHION_MNIST.name
    folder.mkdir()
    (folder / FASHION_MNIST.train_labels.name).write_bytes(b"half a file")
    damaged = check_data(tmp_path)
    assert damaged.level == WARN
    assert f"{FASHION_MNIST.train_labels.name} in {folder} is damaged" in damaged.message


def test_a_whole_store_passes(used: Home) -> None:
    assert levels(check_store(used, {})) == [OK, OK, OK, OK]


def test_a_damaged_database_is_told_with_the_way_back(used: Home) -> None:
    content = bytearray(used.database.read_bytes())
    content[4096 : 4096 * 40] = b"\xff" * (4096 * 39)
    used.database.write_bytes(content)
    (found,) = check_store(used, {})
    assert found.level == FAIL
    assert str(used.database) in found.message
    assert "Backup and restore" in found.remedy


def test_a_file_that_is_no_database_is_told(home: Home) -> None:
    file = ServiceFolder.of(home).prefect_database
    assert check_prefect_store(home) == []
    file.parent.mkdir(parents=True)
    file.write_text("this is no database " * 100)
    (found,) = check_prefect_store(home)
    assert found.level == FAIL and "not a database" in found.message


def test_an_older_schema_asks_for_the_upgrade(used: Home) -> None:
    with closing(sqlite3.connect(used.database)) as database:
        database.execute("UPDATE alembic_version SET version_num = '0584bdc529eb'")
        database.commit()
    found = check_store(used, {})[1]
    assert found.level == FAIL and "received 0584bdc529eb" in found.message
    assert f'mlflow db upgrade "{used.database_uri}"' in found.remedy


def test_a_moved_home_is_told_until_the_next_command(used: Home, tmp_path: Path) -> None:
    moved = Home(tmp_path / "moved")
    shutil.move(used.root, moved.root)
    found = of(check_store(moved, {}), "home")
    assert found.level == WARN
    assert f"point to {used.root}: this home was moved or copied" in found.message
    open_store(moved, {})
    assert of(check_store(moved, {}), "artifacts").level == OK


def test_a_home_behind_a_link_is_not_moved(used: Home, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(used.root)
    assert of(check_store(Home(tmp_path / "link"), {}), "artifacts").level == OK


def test_artifacts_outside_of_the_home_are_told(used: Home, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    client = MlflowClient(used.database_uri)
    client.create_experiment("theirs", artifact_location=outside.as_uri())
    assert of(check_store(used, {}), "artifacts").level == WARN
    outside.rmdir()
    found = of(check_store(used, {}), "artifacts")
    assert found.level == FAIL and f"{outside} does not exist" in found.message


def test_a_store_that_is_lost_is_a_failure_with_the_way_back(used: Home) -> None:
    used.database.unlink()
    (found,) = check_store(used, {})
    assert found.level == FAIL and "is missing, but there are artifacts" in found.message
    assert found.remedy.startswith("restore it from a backup")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_where_nothing_runs_taken_ports_are_named(
    home: Home, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ports, "__init__", lambda self: None)
    monkeypatch.setattr(Ports, "prefect", taken)
    monkeypatch.setattr(Ports, "mlflow", 1)
    services, prefect, _ = check_ports(home)
    assert services.level == WARN and services.remedy == "start the services: cnn-pipeline up"
    assert prefect.level == WARN
    assert f"{taken} is in use" in prefect.message and "--prefect-port N" in prefect.remedy


def test_a_server_that_does_not_answer_is_a_failure(taken: int) -> None:
    nowhere = Addresses(prefect="http://127.0.0.1:1", mlflow="http://127.0.0.1:1")
    now = Running(nowhere, ready=True, supervisor_pid=1, services={"mlflow": True, "worker": False})
    findings = check_servers(now)
    assert levels(findings) == [OK, FAIL, FAIL, FAIL]
    assert "worker does not run" in findings[1].message
    assert "http://127.0.0.1:1/api must answer" in findings[2].message


class Server:
    """Stands where Prefect's client does: one run, and when it was last heard of."""

    def __init__(self, state: str, minutes: float, heartbeat: float | None) -> None:
        from prefect.client.schemas.objects import FlowRun, State, StateType

        since = self._ago(minutes)
        self.run = FlowRun(
            id=UUID(int=7),
            name="bold-hare",
            flow_id=UUID(int=1),
            state=State(type=StateType(state), timestamp=since),
        )
        self.heard = None if heartbeat is None else self._ago(heartbeat)
        self.forced: list[bool] = []

    def _ago(self, minutes: float) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=minutes)

    def read_flow_runs(self, **filters: object) -> list[object]:
        return [self.run]

    def read_flow_run(self, run_id: UUID) -> object:
        return self.run

    def request(self, *words: object, **content: object) -> httpx.Response:
        events = [] if self.heard is None else [{"occurred": self.heard.isoformat()}]
        return httpx.Response(200, json={"events": events})

    def set_flow_run_state(self, run_id: UUID, state: object, force: bool) -> None:
        self.forced.append(force)


@pytest.mark.parametrize(
    ("state", "minutes", "heartbeat", "level", "told"),
    [
        ("RUNNING", 1, None, OK, "1 active, none is stuck"),
        ("RUNNING", 60, 1, OK, "1 active, none is stuck"),
        ("RUNNING", 2, None, FAIL, "UTC (2 min), but has never sent a heartbeat"),
        ("RUNNING", 60, 2, WARN, "is Running, but has sent no heartbeat since 2"),
        ("RUNNING", 60, 5, FAIL, "UTC (5 min)"),
        ("CANCELLING", 0.5, None, OK, "1 active, none is stuck"),
        ("CANCELLING", 2, 0.5, FAIL, "UTC (2 min), but its process still sends heartbeats"),
        ("CANCELLING", 5, 2, WARN, "its process is gone"),
        ("CANCELLING", 5, 8, FAIL, "UTC (5 min): its process is gone"),
        ("PENDING", 5, None, OK, "1 active, none is stuck"),
        ("PENDING", 11, None, FAIL, "its worker was lost"),
    ],
)
def test_a_run_without_heartbeats_is_told_by_its_name(
    state: str, minutes: float, heartbeat: float | None, level: str, told: str
) -> None:
    (found,) = runs.check_runs(Server(state, minutes, heartbeat))  # type: ignore[arg-type]
    assert (found.name, found.level) == ("runs", level)
    assert told in found.message
    if level != OK:
        assert found.message.startswith("bold-hare is ")
    if level == WARN:
        assert found.remedy == "wait: after 180 s without a heartbeat it is marked as crashed"
    if level == FAIL:
        assert f"cnn-pipeline doctor --end {UUID(int=7)}" in found.remedy


def test_only_a_run_without_heartbeats_is_ended_by_hand() -> None:
    lost = Server("CANCELLING", 5, 2)
    assert runs.end_run(lost, UUID(int=7)).name == "bold-hare"  # type: ignore[arg-type]
    assert lost.forced == [True]
    for alive, told in (
        (Server("RUNNING", 5, 0.5), "sent a heartbeat 30 s ago, so its process lives"),
        (Server("COMPLETED", 5, None), "bold-hare has ended already, as Completed"),
    ):
        with pytest.raises(UserError, match=told):
            runs.end_run(alive, UUID(int=7))  # type: ignore[arg-type]
        assert alive.forced == []


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets PREFECT_API_URL as a user's shell does, which Prefect has not read yet."""
    for name in ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"):
        monkeypatch.setenv(name, "1")  # restored after the test, whatever doctor sets
    with contextlib.ExitStack() as stack:

        def name_it(api: str) -> None:
            from prefect.settings import PREFECT_API_URL, temporary_settings

            stack.enter_context(temporary_settings({PREFECT_API_URL: api}))

        yield name_it


@pytest.mark.parametrize("port", ["dead", "frozen"])
def test_a_named_server_that_does_not_answer_is_a_failure_within_seconds(
    home: Home, taken: int, port: str, named: Callable[[str], None]
) -> None:
    """`taken` accepts connections and never answers."""
    address = f"127.0.0.1:{taken if port == 'frozen' else 1}"
    store = {"MLFLOW_TRACKING_URI": f"http://user:secret@{address}"}
    named(f"http://user:secret@{address}/api")
    started = time.monotonic()
    prefect = check_named_prefect(f"http://user:secret@{address}/api")
    (mlflow,) = check_store(home, store)
    assert time.monotonic() - started < 20, "each of them within ten seconds"
    with pytest.raises(UserError) as raised:
        servers.require_named_prefect(f"http://user:secret@{address}/api")
    assert str(raised.value) == f"{prefect.message}. S{prefect.remedy[1:]}."
    assert prefect.level == FAIL and "PREFECT_API_URL" in prefect.remedy
    assert prefect.message.startswith(f"http://***@{address}/api must answer, received: ")
    assert mlflow.level == FAIL and "MLFLOW_TRACKING_URI" in mlflow.remedy
    assert mlflow.message.startswith(f"http://***@{address} must answer, received: ")
    assert "secret" not in str((prefect, mlflow))


def test_a_dead_database_is_named_without_its_password(
    home: Home, named: Callable[[str], None]
) -> None:
    uri = "postgresql://cnn:secret@127.0.0.1:1/mlflow"
    (found,) = check_store(home, {"MLFLOW_TRACKING_URI": uri})
    assert found.level == FAIL
    assert found.message.startswith("postgresql://***@127.0.0.1:1/mlflow must answer, received: ")
    assert "refused" in found.message


def test_a_named_store_that_answers_is_fine(
    used: Home, tmp_path: Path, named: Callable[[str], None]
) -> None:
    (found,) = check_store(Home(tmp_path / "other"), {"MLFLOW_TRACKING_URI": used.database_uri})
    assert found.level == OK and str(used.database) in found.message


def test_a_server_of_another_version_is_a_warning(
    home: Home, monkeypatch: pytest.MonkeyPatch, named: Callable[[str], None]
) -> None:
    class Answer:
        is_success, text = True, "1.0.0"

    monkeypatch.setattr(servers.httpx, "get", lambda *_, **__: Answer())
    monkeypatch.setattr(servers, "open_store", lambda *_: None)
    answers, version = check_store(home, {"MLFLOW_TRACKING_URI": "http://mlflow.example:5000"})
    assert answers.level == OK and version.level == WARN
    assert "http://mlflow.example:5000 runs mlflow 1.0.0, but 3." in version.message


def test_the_command_prints_every_check_and_its_status_tells(
    used: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CNN_PIPELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["click"])
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    assert status_of(["doctor", "--home", str(used.root), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is True
    names = {item["name"] for item in said["findings"]}
    assert {"versions", "disk", "data", "store", "artifacts", "services", "ports"} <= names

    used.database.write_text("this is no database " * 100)
    assert status_of(["doctor", "--home", str(used.root)]) == 1
    lines = capsys.readouterr().out.splitlines()
    fault = next(number for number, line in enumerate(lines) if line.startswith("fail  store"))
    assert lines[fault + 1].strip().startswith("-> restore it from a backup")
    assert lines[-1].endswith("1 failures")


@pytest.mark.parametrize(
    ("error", "message", "remedy"),
    [
        ("The store does not answer. Start it.", "The store does not answer", "start it"),
        ("It is older. Wait. MLflow must be 3.8", "It is older. Wait", "MLflow must be 3.8"),
        ("http://127.0.0.1:5000 does not answer", "http://127.0.0.1:5000 does not answer", "wait"),
    ],
)
def test_the_last_sentence_of_an_error_is_the_remedy(error: str, message: str, remedy: str) -> None:
    assert failed("store", UserError(error), "wait") == Finding(FAIL, "store", message, remedy)
