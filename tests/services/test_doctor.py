"""Each check that needs no server finds what was damaged, and says what to do."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cnn_pipeline.base.home import Home
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.data.catalog import FASHION_MNIST
from cnn_pipeline.services.addresses import Addresses, Ports, ServiceFolder
from cnn_pipeline.services.control import Running
from cnn_pipeline.services.doctor import FAIL, OK, WARN, Finding, machine
from cnn_pipeline.services.doctor.machine import check_data, check_disk, check_versions
from cnn_pipeline.services.doctor.servers import check_ports, check_servers
from cnn_pipeline.services.doctor.store import check_prefect_store, check_store
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
    assert levels(check_store(used, {})) == [OK, OK, OK]


def test_a_store_elsewhere_is_not_ours_to_check(home: Home) -> None:
    (found,) = check_store(home, {"MLFLOW_TRACKING_URI": "https://user:secret@mlflow.example"})
    assert found.level == OK and "secret" not in found.message


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
        database.execute("UPDATE alembic_version SET version_num = 'older'")
        database.commit()
    found = check_store(used, {})[1]
    assert found.level == FAIL and "received older" in found.message
    assert f'mlflow db upgrade "{used.database_uri}"' in found.remedy


def test_a_moved_home_is_told_with_the_link_that_mends_it(used: Home, tmp_path: Path) -> None:
    moved = Home(tmp_path / "moved")
    shutil.move(used.root, moved.root)
    found = of(check_store(moved, {}), "artifacts")
    assert found.level == FAIL
    assert f'ln -s "{moved.root}" "{used.root}"' in found.remedy
    used.root.symlink_to(moved.root)  # what it says
    assert of(check_store(moved, {}), "artifacts").level == WARN


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


def test_the_command_prints_every_check_and_its_status_tells(
    used: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CNN_PIPELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["click"])
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
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
