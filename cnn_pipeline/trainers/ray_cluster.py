"""Reach a Ray cluster, and refuse it before anything is trained if a trial could not run there.

Ray is imported only here and in `ray_pool`, and only once a sweep asked for it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from cnn_pipeline.base import events
from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.files import make_private
from cnn_pipeline.base.machine import has_gpu
from cnn_pipeline.base.reachable import short, silence
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.data.catalog import CATALOGS
from cnn_pipeline.network.place import Place
from cnn_pipeline.settings.engine import Engine
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings
from cnn_pipeline.trainers.ray_node import (
    Answer,
    Question,
    absolute,
    answer,
    differences,
    facts,
    node_name,
)
from cnn_pipeline.trainers.scheduling import WORKERS_ON_GPU

START = "ray start --head --include-dashboard=false --disable-usage-stats"
_ANSWER_SECONDS = 120  # a node imports this package first
_CONNECT_SECONDS = 5.0
_POLL_SECONDS = 0.5
_AGAIN_SECONDS = 60.0  # a folder that was not mounted, or a server that did not answer, may be back
_MOST_TRAINERS = 64  # each has a thread in the driver; `--workers` has the same limit
_KEYS = (
    "Share the folder with all nodes; for a bucket, start Ray and this command with its keys in "
    "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL, or "
    "GOOGLE_APPLICATION_CREDENTIALS)"
)
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's own default from its next version on, and a warning until then.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class Node:
    """A node of the cluster, with all that it has, whoever uses it now."""

    id: str
    name: str
    """As `node_name` makes it."""
    cores: int
    gpus: float

    def room(self, cores: int, gpu_share: float) -> int:
        """How many trainers fit that need so many cores and such a share of a GPU."""
        most = self.cores // cores
        # A trainer's share is of one card. Rounded, because three thirds are one card.
        return min(most, int(self.gpus) * int(1 / gpu_share + 1e-9)) if gpu_share else most


@dataclass(frozen=True)
class Needs:
    """What each trial needs of a cluster."""

    threads: int
    """Of each trainer; it asks for as many cores."""
    data: DataSettings
    """The images."""
    store_uri: str
    """MLflow's store."""
    checkpoints: Path
    """Folder of all checkpoints."""
    place: str = ""
    """Address of the `Place` of all checkpoints; empty if nodes share their folder."""


def gpu_share(engine: Engine) -> float:
    """The share of a GPU that each trainer asks for; 0 for none."""
    return engine.gpu_share or (round(1 / WORKERS_ON_GPU, 3) if has_gpu() else 0.0)


def reach(engine: Engine) -> None:
    """Connect this process to the cluster, unless it is connected.

    Raises:
        InvalidInput: Ray is not installed, or the cluster does not answer or has other versions.
    """
    if find_spec("ray") is None:
        raise InvalidInput(
            ["--engine: ray must be installed, received none: "
             'pip install --editable ".[ray]", or leave out --engine ray']
        )  # fmt: skip
    address = engine.ray_address
    if address != "auto" and (fault := silence(f"ray://{address}", seconds=_CONNECT_SECONDS)):
        raise _unreachable(address, fault)
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with _kept_handlers():
        import ray

        if ray.is_initialized():
            return
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level="CRITICAL",
                configure_logging=False,
            )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise _unreachable(address, short(error)) from None


def leave() -> None:
    """Disconnect this process, if it is connected. What it has on the cluster ends."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        ray.shutdown()


def nodes() -> tuple[Node, ...]:
    """The nodes that are alive, by name."""
    import ray

    return tuple(
        sorted(
            (
                Node(
                    id=one["NodeID"],
                    name=node_name(one["NodeManagerHostname"], one["NodeID"]),
                    cores=int(one["Resources"].get("CPU", 0)),
                    gpus=float(one["Resources"].get("GPU", 0)),
                )
                for one in ray.nodes()
                if one["Alive"]
            ),
            key=lambda node: node.name,
        )
    )


def _alive(node: Node) -> bool:
    return node.id in {one.id for one in nodes()}


def room(found: Sequence[Node], threads: int, share: float) -> int:
    """How many trainers fit on these nodes."""
    return sum(node.room(threads, share) for node in found)


class _Refusal(NamedTuple):
    """Of a node that joined."""

    why: str
    again: float
    """When it may be compared again, as `time.monotonic` counts."""


class Cluster:
    """A connected cluster, and which of its nodes are used: those that are like the driver."""

    def __init__(self, engine: Engine, needs: Needs, used: Sequence[Node], most: int) -> None:
        self.engine = engine
        self.threads = needs.threads
        """Of each trainer."""
        self.share = gpu_share(engine)
        self.used = tuple(used)
        self.most = most
        """Trainers that the sweep would use."""
        self._needs = needs
        self._alive = tuple(used)
        self._refused: dict[str, _Refusal] = {}

    @property
    def room(self) -> int:
        """How many trainers fit on the nodes that are used."""
        return room(self.used, self.threads, self.share)

    def may_have_room(self) -> bool:
        """Whether a node had room that is used, or that was not compared yet, as last looked at."""
        alive = [node for node in self._alive if node.id not in self._refused]
        return room(alive, self.threads, self.share) > 0

    def changes(self, over: Callable[[], bool]) -> Iterator[str]:
        """Compare nodes that joined, and forget lost ones. Yields a sentence after each change.

        Args:
            over: whether nobody waits any more; asked while a node does not answer.

        A node that was refused is compared again after a minute, and its reason is said once.
        """
        self._alive = alive = nodes()
        for lost in [node for node in self.used if node.id not in {one.id for one in alive}]:
            self.used = tuple(node for node in self.used if node.id != lost.id)
            yield f"node {lost.name} was lost"
        known = {node.id for node in self.used}
        for node in alive:
            if node.id in known or not node.room(self.threads, self.share):
                continue
            before = self._refused.get(node.id)
            if before and time.monotonic() < before.again:
                continue
            faults = _faults([node], self._needs, _total([*self.used, node]), over)
            if over():
                return
            if not _alive(node):
                continue
            if faults:
                said = "; ".join(fault.removeprefix("--engine ray: ") for fault in faults)
                self._refused[node.id] = _Refusal(said, time.monotonic() + _AGAIN_SECONDS)
                if not before or before.why != said:
                    yield f"{said}. The sweep goes on without this node"
            else:
                self._refused.pop(node.id, None)
                self.used += (node,)
                yield f"node {node.name} joined"


def check(engine: Engine, needs: Needs) -> tuple[Node, ...]:
    """The nodes of the connected cluster that have room for trainers.

    Raises:
        InvalidInput: all reasons why trials could not run there, each with what to do.
    """
    share = gpu_share(engine)
    everyone = nodes()
    used = tuple(node for node in everyone if node.room(needs.threads, share))
    if not used:
        raise InvalidInput([_no_room(everyone, needs.threads, share)])
    faults = _faults(used, needs, _total(used))
    if not all(_alive(node) for node in used):  # Ray notices a loss after some seconds
        return check(engine, needs)
    if faults:
        raise InvalidInput(faults)
    return used


def head() -> str:
    """Address of the connected cluster's head."""
    import ray

    return f"ray://{ray.get_runtime_context().gcs_address}"


def own_node() -> str:
    """Id of the node that this process runs on."""
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _total(used: Sequence[Node]) -> int:
    """How many nodes need the sweep's files: those that are used, and this one, which decides."""
    return len({own_node(), *(node.id for node in used)})


def _faults(
    asked: Sequence[Node], needs: Needs, total: int, over: Callable[[], bool] = lambda: False
) -> list[str]:
    """Why trials could not run on these nodes, of `total` that see the sweep's files."""
    several = total > 1
    faults = [*(_store_faults(total, needs.store_uri) if several else ())]
    shared = _seen_in(needs.place) if needs.place else _seen(needs.checkpoints if several else None)
    try:
        with shared as seen:
            question = Question(
                data="" if needs.data.source in CATALOGS else absolute(needs.data).source,
                seen=seen,
                place=needs.place,
                store=needs.store_uri if several and not faults else "",
            )
            answers = ask(asked, question, over)
    except InvalidInput as refused:  # this machine cannot use the place
        return [*faults, *refused.faults]
    here = facts()
    for node in asked:
        faults += _node_faults(node, answers[node.id], here, needs)
    return faults


def join(engine: Engine, sweep: Sweep, workers: int, store_uri: str, checkpoints: Path) -> Cluster:
    """The cluster for a sweep, which this process is connected to from now on.

    A trainer has one thread unless the sweep says otherwise: nodes have different numbers of cores.

    Args:
        engine: which cluster, and what each trainer asks of it.
        sweep: what is trained.
        workers: the requested number of trainers; 0 is as many as there is room for.
        store_uri: MLflow's store.
        checkpoints: folder of all checkpoints.

    Raises:
        InvalidInput: see `reach` and `check`.
    """
    threads = sweep.training.threads or 1
    events.emit(events.Stage("comparing the nodes of the Ray cluster"))
    reach(engine)
    needs = Needs(threads, sweep.data, store_uri, checkpoints, engine.checkpoints or "")
    try:
        used = check(engine, needs)
    except InvalidInput:
        leave()  # Ray ends a connected process a minute after its cluster is gone
        raise
    most = workers or min(len(sweep.trials()), _MOST_TRAINERS)
    return Cluster(engine, needs, used, most)


def ask(
    asked: Sequence[Node], question: Question, over: Callable[[], bool]
) -> dict[str, Answer | str]:
    """The answer of each node by its id, or why it gave none; wait until `over`, but not longer."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task: Any = ray.remote(answer)
    refs = {
        node.id: task.options(
            num_cpus=0,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
        ).remote(question)
        for node in asked
    }
    end, waited = time.monotonic() + _ANSWER_SECONDS, list(refs.values())
    while waited and time.monotonic() < end and not over():
        _, waited = ray.wait(waited, num_returns=len(waited), timeout=_POLL_SECONDS)
    found: dict[str, Answer | str] = {}
    for node_id, ref in refs.items():
        try:
            found[node_id] = ray.get(ref, timeout=0)
        except ray.exceptions.GetTimeoutError:
            found[node_id] = f"no answer within {_ANSWER_SECONDS} s"
        except ray.exceptions.RayError as error:
            found[node_id] = last_line(error)
    return found


def last_line(error: Exception) -> str:
    """The last line of one of Ray's errors, which have whole tracebacks as their text."""
    return redacted(str(error).strip().splitlines()[-1].strip() or type(error).__name__)


def _node_faults(
    node: Node, said: Answer | str, here: dict[str, str], needs: Needs
) -> Iterator[str]:
    name = f"--engine ray: node {node.name}"
    if isinstance(said, str):
        yield (
            f"{name} must run the same cnn-pipeline as this machine, received: {said}. "
            "Install it there in the environment that Ray was started from"
        )
        return
    if different := differences(here, said.facts):
        yield (
            f"{name} must be like this machine, or the same trial has other numbers there, "
            f"received {'; '.join(different)}. Install the same versions there and restart Ray, or "
            "take the node away ('ray stop' on it)"
        )
    if not said.sees_data:
        yield (
            f"{name} must see the images at {absolute(needs.data).source}, received no such path. "
            "Put them into a folder that every node has under the same path"
        )
    if said.blind and needs.place:
        yield (
            f"{name} must read and write checkpoints in {needs.place}, received: {said.blind}. "
            f"{_KEYS}"
        )
    elif said.blind:
        yield (
            f"{name} must see the home folder, where checkpoints lie, received {said.blind}. Give "
            "a folder that all nodes share with --home, or a folder or bucket with --checkpoints"
        )
    if said.silence:
        yield (
            f"{name} must reach MLflow at {redacted(needs.store_uri)}, received: {said.silence}. "
            "Set MLFLOW_TRACKING_URI to an address that every node reaches"
        )


def _store_faults(total: int, uri: str) -> Iterator[str]:
    """Why runs of several nodes cannot be written to this store."""
    if not uri.startswith(("http://", "https://")):
        yield (
            f"--engine ray: {total} nodes need an MLflow server, because a file cannot be "
            f"written by several machines, received {redacted(uri)}. Start one ('mlflow server') "
            "and set MLFLOW_TRACKING_URI to its address"
        )
        return
    from mlflow.tracking import MlflowClient

    from cnn_pipeline.tracking.store import set_client_defaults

    set_client_defaults()
    try:
        location = MlflowClient(uri).get_experiment("0").artifact_location
    except Exception:  # the server does not answer, or its first experiment is deleted
        return
    if location.startswith("file:") or ("://" not in location and ":" not in location):
        yield (
            f"--engine ray: the MLflow server must store artifacts itself, received the path "
            f"{location}. Start it with --serve-artifacts and --artifacts-destination"
        )


def _no_room(found: Sequence[Node], threads: int, share: float) -> str:
    card = f" and {share:g} of a GPU" if share else ""
    has = "; ".join(f"{node.name}: {node.cores} cores, {node.gpus:g} GPUs" for node in found)
    return (
        f"--engine ray: a trial needs a node with {threads} cores{card}, received {has}. "
        "Give fewer --threads" + (" or a smaller --gpu-share" if share else "") + ", or add a node"
    )


def _unreachable(address: str, fault: str) -> InvalidInput:
    return InvalidInput(
        [
            f"--ray-address: a Ray cluster with this machine as a node must answer at {address}, "
            f"received: {fault}. Start one ('{START}'), or leave out --engine ray"
        ]
    )


@contextlib.contextmanager
def _seen(folder: Path | None) -> Iterator[str]:
    """A file in `folder` while the block runs; empty without a folder."""
    if folder is None:
        yield ""
        return
    make_private(folder)
    file = folder / f"seen-{secrets.token_hex(8)}"
    file.touch()
    try:
        yield str(file)
    finally:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def _seen_in(address: str) -> Iterator[str]:
    """The name of an object that is in a place while the block runs."""
    name = f"seen-{secrets.token_hex(8)}"
    try:
        place = Place(address)
        place.put(name, b"")
        place.get(name)
    except OSError as error:
        raise InvalidInput(
            [
                f"--checkpoints: this machine must read and write {address}, "
                f"received: {short(error)}. {_KEYS}"
            ]
        ) from None
    try:
        yield name
    finally:
        with contextlib.suppress(OSError):
            place.remove(name)


@contextlib.contextmanager
def _kept_handlers() -> Iterator[None]:
    """Keep what happens at a signal and at an error, which Ray replaces."""
    hook = sys.excepthook
    main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        sys.excepthook = hook
        for number, handler in handlers.items():
            if main and handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
