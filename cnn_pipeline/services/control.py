"""Start the services, in the foreground or background, and stop them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import httpx
from filelock import FileLock, Timeout

from cnn_pipeline.base import links
from cnn_pipeline.base.errors import InvalidInput, UserError
from cnn_pipeline.base.files import make_private
from cnn_pipeline.base.home import HOME_VARIABLE, TRACKING_VARIABLE, Home
from cnn_pipeline.services.addresses import Addresses, Ports, ServiceFolder, project_root
from cnn_pipeline.services.flow_runs import cancelling
from cnn_pipeline.services.loopback import HOST, port_is_free
from cnn_pipeline.services.processes import end_groups, groups_below, is_running
from cnn_pipeline.services.running import Record, Running, running
from cnn_pipeline.services.shared import OWN, SharedStore
from cnn_pipeline.services.shared_check import require_shared
from cnn_pipeline.services.supervisor import (
    WORKER,
    ServiceError,
    Stopped,
    StopSignals,
    Supervisor,
    is_server,
    server_plans,
    worker_plan,
)
from cnn_pipeline.tracking.store import open_store, require_intact

UP_LOG = "up"
_STOP_SECONDS = 150
_SHORT_GRACE = 10.0


def bring_up(
    home: Home,
    ports: Ports,
    shared: SharedStore | None,
    say: Callable[[str], None],
    ready: Callable[[Running], None],
) -> None:
    """Run the services until a signal stops them; call `ready` once all of them answer.

    Without a `shared` store, their state is in the home folder, or where MLFLOW_TRACKING_URI says.

    Raises:
        UserError: they already run, a port is in use, the shared store cannot be used, or a
            service does not start. Services that were started are stopped again.
    """
    project_root()  # before anything is started
    if shared is None:
        require_intact(home, os.environ)
    folder = ServiceFolder.of(home)
    make_private(folder.root)
    lock = FileLock(folder.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"the services of {home.root} already run, or are being started or stopped. "
            "`cnn-pipeline doctor` checks them, `cnn-pipeline down` stops them."
        ) from None
    signals = StopSignals()
    supervisor: Supervisor | None = None
    try:
        _end_leftovers(folder)
        foreign = "" if shared else os.environ.get(TRACKING_VARIABLE, "").strip()
        addresses = _addresses(ports, foreign)
        _require_free(ports, own_mlflow=not is_server(foreign))
        say("opening the store")
        store = open_store(home, os.environ) if shared is None else _opened(home, shared)
        SharedStore.remember(home, shared)
        supervisor = Supervisor(home, addresses, say, signals)
        supervisor.bring_up(
            server_plans(home, addresses, ports, store), worker_plan(home, addresses)
        )
        now = running(home)
        assert now is not None
        ready(now)
        supervisor.watch()
    except Stopped:
        pass
    finally:
        signals.ignore()
        if supervisor is not None:
            say("stopping")
            supervisor.take_down()
        lock.release()


def _opened(home: Home, shared: SharedStore) -> SharedStore:
    """The shared store, which MLflow's server itself fills with tables."""
    require_shared(shared)
    return shared


def detach(
    home: Home, ports: Ports, shared: SharedStore | None, say: Callable[[str], None]
) -> Running:
    """Run `bring_up` in a process of its own, and say what it says until all services answer.

    Raises:
        ServiceError: the process ended; the message holds its log.
    """
    folder = ServiceFolder.of(home)
    make_private(folder.logs)
    log = folder.log(UP_LOG)
    command = [
        sys.executable, "-m", "cnn_pipeline.cli", "up",
        "--prefect-port", str(ports.prefect),
        "--mlflow-port", str(ports.mlflow),
        *(["--database", OWN] if shared is None else shared.flags),
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, HOME_VARIABLE: str(home.root), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with log.open(encoding="utf-8", errors="replace") as lines:
            while process.poll() is None:
                now = running(home)
                if now is not None and now.supervisor_pid == process.pid and now.ready:
                    return now
                for line in lines:
                    say(line.rstrip())
                time.sleep(0.3)
    except BaseException:
        process.terminate()  # Ctrl-C during the start: the process stops its services
        process.wait()
        raise
    said = log.read_text(encoding="utf-8", errors="replace").strip()
    raise ServiceError(f"the services did not start. {log}:\n{said}")


def take_down(home: Home, say: Callable[[str], None]) -> bool:
    """Stop all services under `home`, and say which runs that ends; return False if none ran.

    Raises:
        ServiceError: the supervisor does not end.
    """
    folder = ServiceFolder.of(home)
    record = Record.load(folder)
    if record is None:
        return False
    if not record.supervisor.alive:
        return _end_leftovers(folder)
    os.kill(record.supervisor.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    told: tuple[str, ...] = ()
    while record.supervisor.alive:
        cancelled = now.cancelled if (now := Record.load(folder)) else told
        for name in cancelled[len(told) :]:
            say(cancelling(name))
        told = cancelled
        if time.monotonic() > deadline:
            raise ServiceError(
                f"process {record.supervisor.pid} still runs {_STOP_SECONDS} s after SIGTERM. "
                f"Check {folder.log(UP_LOG)}, then run `kill -9 {record.supervisor.pid}` and "
                "`cnn-pipeline down`."
            )
        time.sleep(0.2)
    return True


def _end_leftovers(folder: ServiceFolder) -> bool:
    """Stop processes left by a killed supervisor; return whether there were any."""
    record = Record.load(folder)
    if record is None:
        return False
    leaders = [*record.services.values(), *record.runs]
    worker = record.services.get(WORKER)
    if worker is not None:
        leaders += [run for run in groups_below(worker) if run not in leaders]
    left = [leader for leader in leaders if is_running(leader)]
    # In reverse order of their start, so that runs can still tell the servers that they end.
    for leader in reversed(left):
        end_groups([leader], _SHORT_GRACE)
    Record.forget(folder)
    return bool(left)


def _addresses(ports: Ports, foreign: str) -> Addresses:
    mlflow = links.to_open(foreign) if is_server(foreign) else f"http://{HOST}:{ports.mlflow}"
    return Addresses(prefect=f"http://{HOST}:{ports.prefect}", mlflow=mlflow)


def _require_free(ports: Ports, *, own_mlflow: bool) -> None:
    wanted = [("Prefect", "--prefect-port", ports.prefect, "/api/health")]
    if own_mlflow:
        wanted.append(("MLflow", "--mlflow-port", ports.mlflow, "/health"))
    faults = [
        f"port {port} must be free for {name}'s server, but {_who(name, port, page)} uses it. "
        f"Stop that, or choose another port with {flag} N."
        for name, flag, port, page in wanted
        if not port_is_free(port)
    ]
    if own_mlflow and ports.prefect == ports.mlflow:
        faults.append(f"--prefect-port and --mlflow-port must differ, both are {ports.prefect}")
    if faults:
        raise InvalidInput(faults)


def _who(name: str, port: int, page: str) -> str:
    """What uses a port: 'another Prefect server' or 'another program'."""
    try:
        answer = httpx.get(f"http://{HOST}:{port}{page}", timeout=2)
    except httpx.HTTPError:
        return "another program"
    return f"another {name} server" if answer.is_success else "another program"
