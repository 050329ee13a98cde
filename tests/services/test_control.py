"""What `down` and a second `up` go by: the record, the lock, the ports."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from pydantic_core import PydanticSerializationError

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.base.identity import ProcessId, identify
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.cli.commands.up import text
from cnn_pipeline.services import control
from cnn_pipeline.services import environment as settings
from cnn_pipeline.services.addresses import Addresses, Ports, ServiceFolder
from cnn_pipeline.services.control import bring_up, take_down
from cnn_pipeline.services.processes import is_running, start
from cnn_pipeline.services.running import Record, Running, running
from cnn_pipeline.services.supervisor import Stopped, StopSignals
from tests.running import wait_until

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ADDRESSES = Addresses("http://127.0.0.1:4200", "http://127.0.0.1:5000")


@pytest.fixture
def sleeping(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two processes that stand for a service and for a run of a worker that is gone."""
    made = [start(["sleep", "605"], os.environ, tmp_path / "log") for _ in range(2)]
    yield made
    for process in made:
        process.kill()
        process.wait()


def ids(processes: list[subprocess.Popen[bytes]]) -> list[ProcessId]:
    found = [identify(process.pid) for process in processes]
    return [item for item in found if item is not None]


def test_the_record_comes_back_as_it_was(home: Home) -> None:
    folder = ServiceFolder.of(home)
    folder.root.mkdir(parents=True)
    assert Record.load(folder) is None
    one = ProcessId(1, "then")
    record = Record(one, ADDRESSES, True, {"prefect": one}, (ProcessId(2, "later"),))
    record.save(folder)
    assert Record.load(folder) == record
    written = folder.record.read_text()
    for broken in (
        '{"supervisor": {"pid": 1',  # half written by something else
        written.replace('"pid": 1', '"pid": "1"'),
        written.replace('"ready": true', '"ready": true, "mood": "good"'),
    ):
        assert broken != written
        folder.record.write_text(broken)
        assert Record.load(folder) is None
    with pytest.raises(PydanticSerializationError, match="Expected `int`"):
        Record(ProcessId("1", "then"), ADDRESSES, True, {}).save(folder)  # type: ignore[arg-type]
    Record.forget(folder)
    Record.forget(folder)


def test_a_copied_home_does_not_have_the_services_of_the_original(
    home: Home, tmp_path: Path
) -> None:
    """Else `down` there would stop them, and runs there would go to their Prefect server."""
    folder = ServiceFolder.of(home)
    folder.root.mkdir(parents=True)
    one = identify(os.getpid())
    assert one is not None
    Record(one, ADDRESSES, True, {}).save(folder)
    copied, moved = Home(tmp_path / "copied"), Home(tmp_path / "moved")
    shutil.copytree(home.root, copied.root)
    assert running(home) is not None
    assert running(copied) is None
    home.root.rename(moved.root)
    assert running(moved) is not None


def test_nothing_runs_where_nothing_was_started(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert running(home) is None
    assert take_down(home, print) is False
    assert status_of(["down", "--home", str(home.root)]) == 0
    assert capsys.readouterr().out == f"nothing runs under {home.root}\n"
    assert status_of(["deploy", "--home", str(home.root)]) == 2
    assert "cnn-pipeline up" in capsys.readouterr().err


def test_down_ends_what_a_killed_supervisor_has_left(
    home: Home, sleeping: list[subprocess.Popen[bytes]]
) -> None:
    folder = ServiceFolder.of(home)
    folder.root.mkdir(parents=True)
    service, run = ids(sleeping)
    Record(ProcessId(os.getpid(), "long ago"), ADDRESSES, True, {"prefect": service}, (run,)).save(
        folder
    )
    assert running(home) is None
    assert take_down(home, print) is True
    assert not is_running(service) and not is_running(run)
    assert take_down(home, print) is False


def test_what_runs_is_told_with_what_has_died(
    home: Home, sleeping: list[subprocess.Popen[bytes]]
) -> None:
    folder = ServiceFolder.of(home)
    folder.root.mkdir(parents=True)
    prefect, worker = ids(sleeping)
    me = identify(os.getpid())
    assert me is not None
    Record(me, ADDRESSES, True, {"prefect": prefect, "worker": worker}).save(folder)
    sleeping[1].kill()
    wait_until(lambda: not worker.alive, "the worker has died")
    now = running(home)
    assert now is not None and now.addresses == ADDRESSES
    assert now.services == {"prefect": True, "worker": False}
    assert now.fault == "worker does not run"


def test_two_starts_at_once_are_one(home: Home) -> None:
    folder = ServiceFolder.of(home)
    folder.root.mkdir(parents=True)
    with FileLock(folder.lock), pytest.raises(UserError, match="already run"):
        bring_up(home, Ports(), None, print, print)


def test_one_port_for_two_servers_is_refused(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["up", "--prefect-port", "x", "--mlflow-port", "0"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3
    words = [sys.executable, "-m", "cnn_pipeline.cli", "up", "--home", str(home.root)]
    environ = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    done = subprocess.run(
        [*words, "--prefect-port", "45671", "--mlflow-port", "45671"],
        capture_output=True,
        text=True,
        env=environ,
        timeout=120,
    )
    assert done.returncode == 2
    assert "--prefect-port and --mlflow-port must differ, both are 45671" in done.stderr
    assert running(home) is None


def test_the_flags_name_the_ports_that_are_meant() -> None:
    from cnn_pipeline.cli.commands import up

    assert Ports() == Ports(up.PREFECT_PORT, up.MLFLOW_PORT)


@pytest.fixture
def _handlers() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in STOPS}
    for number in STOPS:  # whoever runs the tests may ignore one, as nohup does
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("number", STOPS)
def test_a_signal_stops_at_once_but_not_between_a_start_and_its_record(number: int) -> None:
    signals = StopSignals()
    with pytest.raises(Stopped):
        os.kill(os.getpid(), number)
    signals = StopSignals()
    done = []

    def start_and_record() -> None:
        with signals.held():
            os.kill(os.getpid(), number)
            done.append("the record is written")

    with pytest.raises(Stopped):
        start_and_record()
    assert done
    signals.ignore()
    os.kill(os.getpid(), number)


@pytest.mark.usefixtures("_handlers")
def test_nohup_is_respected() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    StopSignals()
    os.kill(os.getpid(), signal.SIGHUP)


def test_everything_that_matters_is_set(home: Home) -> None:
    own = settings.prefect_environment(home, ADDRESSES)
    assert own["PREFECT_SERVER_API_HOST"] == "127.0.0.1"
    assert own["PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED"] == "true"
    assert "*" not in own["PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"]
    assert own["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert own["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"].endswith(".filesystem")
    assert own["PREFECT_HOME"].startswith(str(home.state))


def test_prefect_knows_every_setting(home: Home) -> None:
    """A setting with a typo would be ignored in silence."""
    from prefect.settings.legacy import _get_settings_fields
    from prefect.settings.models.root import Settings

    own = {
        **settings.prefect_environment(home, ADDRESSES),
        **settings.run_environment(home, ADDRESSES),
    }
    ours = {name for name in own if name.startswith("PREFECT_")}
    assert ours - set(_get_settings_fields(Settings)) == set()


def test_runs_get_the_password_that_the_record_must_not_hold(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = "http://me:s3/cr@t@mlflow.example:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", named)
    addresses = control._addresses(Ports(), named)
    assert addresses.mlflow == "http://mlflow.example:5000"
    assert settings.run_environment(home, addresses)["MLFLOW_TRACKING_URI"] == named
    other = Addresses("http://127.0.0.1:4200", "http://127.0.0.1:5000")
    assert settings.run_environment(home, other)["MLFLOW_TRACKING_URI"] == other.mlflow


def test_the_screen_shows_no_password() -> None:
    addresses = Addresses("http://127.0.0.1:4200", "http://me:secret@mlflow.example:5000")
    now = Running(addresses, ready=True, supervisor_pid=1, services={})
    assert "MLflow:   http://mlflow.example:5000\n" in text(now, None, "", "logs")
