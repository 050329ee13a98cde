"""The process that runs the services: start them in order, restart dead ones, stop all."""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.base.identity import ProcessId, identify
from cnn_pipeline.services import environment, flow_runs, mlflow_ui, processes
from cnn_pipeline.services.addresses import POOL, Addresses, Ports, ServiceFolder
from cnn_pipeline.services.deploying import client_for, deploy, ensure_pool
from cnn_pipeline.services.loopback import HOST, UVICORN_HTTP, is_healthy
from cnn_pipeline.services.running import Record
from cnn_pipeline.services.shared import SharedStore

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

    from cnn_pipeline.tracking.store import Store

PREFECT, MLFLOW, WORKER = "prefect", "mlflow", "worker"

# A service is given up that uses no processor time for so long before it answers.
_START_SECONDS = 60
_GRACE_SECONDS = {WORKER: 20.0, MLFLOW: 10.0, PREFECT: 15.0}
# After SIGTERM a run closes its MLflow runs and reports its end to Prefect.
_RUN_GRACE_SECONDS = 30.0
# A cancelled run of another process notices it within five seconds.
_OTHERS_SECONDS = 15.0
_LONGEST_PAUSE = 60.0
_LONG_LIFE = 300.0
_WATCH_SECONDS = 1.0


class ServiceError(UserError):
    """A service did not start."""

    exit_code = 1


class Stopped(BaseException):
    """A signal requested the end. A `BaseException`, so that no handler catches it as an error."""


class StopSignals:
    """Raises `Stopped` in the main thread on SIGTERM, SIGINT and SIGHUP; can be deferred."""

    def __init__(self) -> None:
        self._held = False
        self._asked = False
        self._numbers = [
            number
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
            if signal.getsignal(number) is not signal.SIG_IGN  # respect `nohup`
        ]
        for number in self._numbers:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        if not self._held:
            raise Stopped(number)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Defer signals until a block ends: a process that was just started must be recorded."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._asked:
            raise Stopped

    def ignore(self) -> None:
        """Ignore further signals: an interrupted shutdown would leave processes behind."""
        for number in self._numbers:
            signal.signal(number, signal.SIG_IGN)


@dataclass(frozen=True)
class ServicePlan:
    """How to start a service and check that it answers."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    answers: Callable[[], bool]


@dataclass
class _Service:
    plan: ServicePlan
    process: subprocess.Popen[bytes]
    id: ProcessId
    began: float
    pause: float = 1.0
    again_at: float | None = None


@dataclass
class Supervisor:
    """Runs the services of one home."""

    home: Home
    addresses: Addresses
    say: Callable[[str], None]
    signals: StopSignals
    _services: dict[str, _Service] = field(default_factory=dict)
    _runs: tuple[ProcessId, ...] = ()
    _cancelled: tuple[str, ...] = ()
    _ready: bool = False

    def bring_up(self, first: Sequence[ServicePlan], worker: ServicePlan) -> None:
        """Start the servers and the worker, and deploy; return when all of them answer.

        Raises:
            ServiceError: a service ended or did not answer; the message has the end of its log.
            DeployError: `prefect deploy` failed.
        """
        for plan in first:
            self._start(plan)
        for plan in first:
            self._wait_until_it_answers(plan)
        with client_for(self.home, self.addresses) as client:
            ensure_pool(client)
        self._start(worker)  # takes seconds, and so does deploying
        self.say("deploying")
        deploy(self.home, self.addresses)
        self._wait_until_it_answers(worker)
        self._ready = True
        self._save()

    def watch(self) -> NoReturn:
        """Restart services that end, after a pause that doubles each time, until `Stopped`."""
        while True:
            for service in list(self._services.values()):
                self._look_after(service)
            self._note_runs()
            time.sleep(_WATCH_SECONDS)

    def take_down(self) -> None:
        """Stop runs, then the worker, then the servers, so that runs can still report their end."""
        self._note_runs()
        others = self._cancel_others()
        processes.end_groups(self._runs, _RUN_GRACE_SECONDS)
        for name in flow_runs.wait_for_end(self.home, self.addresses, others, _OTHERS_SECONDS):
            self.say(f"{name} has not ended after {_OTHERS_SECONDS:g} s")
        for name in (WORKER, MLFLOW, PREFECT):
            self._note_runs()  # the worker may have started another one meanwhile
            if service := self._services.get(name):
                processes.end_groups([service.id], _GRACE_SECONDS[name])
                service.process.wait()
        processes.end_groups(self._runs, _RUN_GRACE_SECONDS)
        Record.forget(self._folder)

    def _cancel_others(self) -> list[FlowRun]:
        """Cancel the runs of other processes, which need this Prefect server."""
        if not self._ready:
            return []
        own = {run.pid for run in self._runs}
        found = flow_runs.cancel_others(self.home, self.addresses, own)
        self._cancelled = tuple(run.name for run in found)
        for name in self._cancelled:
            self.say(flow_runs.cancelling(name))
        self._save()  # `down` says it, too
        return found

    @property
    def _folder(self) -> ServiceFolder:
        return ServiceFolder.of(self.home)

    def _start(self, plan: ServicePlan) -> None:
        with self.signals.held():
            process = processes.start(plan.command, plan.environ, self._folder.log(plan.name))
            found = identify(process.pid)
            if found is None:
                raise ServiceError(self._failed(plan, f"ended with status {process.wait()}"))
            self._services[plan.name] = _Service(plan, process, found, time.monotonic())
            self._save()
        self.say(f"starting {plan.name}")

    def _wait_until_it_answers(self, plan: ServicePlan) -> None:
        self.say(f"waiting for {plan.name}")
        process = self._services[plan.name].process
        patience = processes.Patience(process.pid, _START_SECONDS)
        while not plan.answers():
            if process.poll() is not None:
                raise ServiceError(self._failed(plan, f"ended with status {process.returncode}"))
            if patience.over:
                raise ServiceError(
                    self._failed(plan, f"does not answer, and did nothing for {_START_SECONDS} s")
                )
            time.sleep(0.3)

    def _failed(self, plan: ServicePlan, how: str) -> str:
        log = self._folder.log(plan.name)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
        return "\n".join([f"{plan.name} {how}. The end of {log}:", *(f"  {x}" for x in lines)])

    def _look_after(self, service: _Service) -> None:
        now = time.monotonic()
        if service.again_at is not None:
            if now >= service.again_at:
                pause = service.pause
                self._start(service.plan)
                self._services[service.plan.name].pause = min(2 * pause, _LONGEST_PAUSE)
            return
        if service.process.poll() is None:
            if now - service.began > _LONG_LIFE:
                service.pause = 1.0
            return
        name, status = service.plan.name, service.process.returncode
        self.say(
            f"{name} ended with status {status} and is restarted in {service.pause:g} s "
            f"(see {self._folder.log(name)})"
        )
        processes.end_groups([service.id], _GRACE_SECONDS[name])  # its remaining children
        service.again_at = now + service.pause

    def _note_runs(self) -> None:
        """Record the runs' groups: they cannot be found once the worker is gone."""
        worker = self._services.get(WORKER)
        below = [] if worker is None else processes.groups_below(worker.id)
        runs = {*(run for run in self._runs if processes.is_running(run)), *below}
        if runs != {*self._runs}:
            self._runs = tuple(sorted(runs, key=lambda run: run.pid))
            self._save()

    def _save(self) -> None:
        own = identify(os.getpid())
        assert own is not None
        ids = {name: service.id for name, service in self._services.items()}
        Record(own, self.addresses, self._ready, ids, self._runs, self._cancelled).save(
            self._folder
        )


def server_plans(
    home: Home, addresses: Addresses, ports: Ports, store: Store | SharedStore
) -> list[ServicePlan]:
    """Plans for Prefect's server, and for MLflow's if the store is no server already."""
    shared = store if isinstance(store, SharedStore) else None
    # As `prefect server start` does, which has no option for the protocol.
    command = [
        sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app",
        "--host", HOST,
        "--port", str(ports.prefect),
        "--http", UVICORN_HTTP,
        "--log-level", "warning",
    ]  # fmt: skip
    prefect = ServicePlan(
        PREFECT,
        command,
        environment.with_inherited(
            environment.prefect_environment(home, addresses, shared), os.environ
        )
        | {"PREFECT__SERVER_FINAL": "1"},  # no setting, but what Prefect's command sets
        lambda: is_healthy(addresses.prefect_api),
    )
    if isinstance(store, SharedStore):
        settings = environment.shared_mlflow_environment(store)
    elif is_server(store.uri):
        return [prefect]
    else:
        settings = environment.mlflow_environment(
            store.uri, store.artifacts_uri or home.artifacts_uri
        )
    mlflow = ServicePlan(
        MLFLOW,
        mlflow_ui.server_command(ports.mlflow),
        environment.with_inherited(settings, os.environ),
        lambda: is_healthy(addresses.mlflow),
    )
    return [prefect, mlflow]


def worker_plan(home: Home, addresses: Addresses) -> ServicePlan:
    """Plan for the worker, which starts a process for each run."""
    command = [
        sys.executable, "-m", "prefect", "worker", "start",
        "--pool", POOL,
        "--type", "process",
        "--name", WORKER,
        "--no-create-pool-if-not-found",
    ]  # fmt: skip
    since = datetime.datetime.now(datetime.UTC)  # ignore heartbeats of an earlier worker
    return ServicePlan(
        WORKER,
        command,
        environment.with_inherited(environment.run_environment(home, addresses), os.environ),
        lambda: _heard_since(home, addresses, since),
    )


def _heard_since(home: Home, addresses: Addresses, since: datetime.datetime) -> bool:
    with client_for(home, addresses) as client:
        workers = client.read_workers_for_work_pool(POOL)
    return any(w.last_heartbeat_time and w.last_heartbeat_time > since for w in workers)


def is_server(store_uri: str) -> bool:
    """Whether a store's URI is the address of a server."""
    return store_uri.startswith(("http://", "https://"))
