"""Trainers on a Ray cluster: each is an actor with cores of its own, and serves many trials.

An actor has a trainer as the local pool has it, on its own machine: the same process with the same
environment, so it computes the same numbers. The actor passes lines of JSON on.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnn_pipeline.base import events
from cnn_pipeline.base.errors import AGAIN, Interrupted
from cnn_pipeline.base.home import cache_dir
from cnn_pipeline.base.quantities import counted
from cnn_pipeline.base.reachable import silence
from cnn_pipeline.trainers import ray_cluster
from cnn_pipeline.trainers.local_pool import TrainerPool
from cnn_pipeline.trainers.messages import (
    JOBS,
    TRAINER_MESSAGES,
    AnyJob,
    InvalidMessage,
    Job,
    Reply,
)
from cnn_pipeline.trainers.protocol import give_up
from cnn_pipeline.trainers.ray_cluster import Cluster
from cnn_pipeline.trainers.ray_node import absolute, node_name

_POLL_SECONDS = 0.1
_LOOK_SECONDS = 2.0
_PATIENCE_SECONDS = 15.0
_PROBE_SECONDS = 1.0
# Ray ends each process that it has connected a minute after the head is lost.
_HEAD_SECONDS = 20.0
_MOST_FAILED_STARTS = 3
# A trainer whose actor is gone cannot know whether the sweep is, too. So it ends no run: the sweep
# does, or else the next command.
_NO_PROCESS = "a node of a Ray cluster"


class RayPool:
    """As many trainers of `threads` threads as the cluster has room for, at most `count`.

    Their number follows the nodes that join, and are like this machine, and those that are lost. If
    a node is lost, its trial runs again on another, from its last checkpoint. If the head is lost,
    no job can go on.
    """

    def __init__(self, count: int, threads: int, log_folder: Path, cluster: Cluster) -> None:
        self.count = count
        self.now = min(count, cluster.room)
        self.threads = threads
        self.stopped = ""
        self._interrupted = ""
        """Why no job can go on, if so; it is stopped then, too."""
        self._cluster = cluster
        self._head = ray_cluster.head()
        self._log_folder = log_folder
        self._retries = cluster.engine.retries
        self._places = threading.BoundedSemaphore(count)
        self._lock = threading.Lock()
        self._idle: list[_Actor] = []
        self._busy: set[_Actor] = set()
        self._failed_starts = 0
        self._told_to_wait = False
        self._over = threading.Event()
        with self._lock:
            self._fill()
        self._looking = threading.Thread(target=self._look, name="nodes", daemon=True)
        self._looking.start()
        threading.Thread(target=self._watch_head, name="head", daemon=True).start()

    def run(self, job: AnyJob) -> Reply:
        """Run one job on an idle trainer. If its node is lost, run it on another.

        Raises:
            Interrupted: no job can go on; the pool is closed.
        """
        with self._places:
            reply = self._run(job)
        if self._interrupted:
            raise Interrupted(self._interrupted)
        if reply and reply.stops_sweep and not self.stopped:
            self._end(reply.reason)
            give_up(job, reply.reason)
        return Reply("KILLED", self.stopped) if self.stopped or not reply else reply

    def _run(self, job: AnyJob) -> Reply | None:
        """The reply to a job; None if the pool was closed first."""
        lost: list[str] = []
        while len(lost) <= self._retries:
            if (actor := self._take()) is None:
                return None
            try:
                return actor.run(job, lambda: bool(self.stopped))
            except _Lost as error:
                lost.append(f"{actor.node}: {error}")
                if not self.stopped and isinstance(job, Job) and len(lost) <= self._retries:
                    text = f"its node {actor.node} was lost; it goes on elsewhere"
                    events.emit(events.TrialNote(job.trial.name, text))
            finally:
                self._give_back(actor)
        reason = f"its node was lost {len(lost)} times; --retries is {self._retries}"
        return Reply("FAILED", f"{reason} ({'; '.join(lost)})")

    def _take(self) -> _Actor | None:
        """A trainer that has started; None if the pool was closed or can have none.

        Those that have not may wait for the cores of a lost node, while another becomes idle.
        """
        waited = time.monotonic()
        while True:
            with self._lock:
                if self.stopped:
                    return None
                self._fill()
                for actor in self._idle:
                    if actor.has_started():
                        self._idle.remove(actor)
                        self._busy.add(actor)
                        self._failed_starts = 0
                        return actor
                failed = [actor for actor in self._idle if actor.fault]
                self._failed_starts += bool(failed)  # they fail together if their node is lost
                for actor in failed:
                    self._idle.remove(actor)
            if failed and self._failed_starts >= _MOST_FAILED_STARTS:
                reason = f"no trainer could be started on the Ray cluster: {failed[-1].fault}"
                self._interrupt(f"{reason}. When it can, {AGAIN}.")
            if time.monotonic() - waited > _PATIENCE_SECONDS:
                waited = time.monotonic()
                if not self._cluster.may_have_room():
                    reason = "no node of the Ray cluster has room for a trainer any more"
                    self._interrupt(f"{reason}. When one has, {AGAIN}.")
                elif not self._told_to_wait:
                    self._told_to_wait = True
                    reason = "no trainer of the Ray cluster is ready; perhaps others use its cores"
                    events.emit(events.Delay(reason))
            time.sleep(_POLL_SECONDS)

    def _interrupt(self, reason: str) -> None:
        self._interrupted = reason
        self._end(reason)

    def _head_answers(self) -> bool:
        """Ask before asking Ray for anything: without a head, that would block until the end."""
        return not silence(self._head, seconds=_PROBE_SECONDS)

    def _watch_head(self) -> None:
        answered = time.monotonic()
        while not self._over.wait(_LOOK_SECONDS):
            if self._head_answers():
                answered = time.monotonic()
            elif time.monotonic() - answered > _HEAD_SECONDS:
                reason = f"the head of the Ray cluster did not answer for {_HEAD_SECONDS:.0f} s"
                self._interrupt(f"{reason}. When there is one, {AGAIN}.")

    def _fill(self) -> None:
        """Ask for as many trainers as there may be; Ray starts them where there is room."""
        while len(self._idle) + len(self._busy) < self.now and self._head_answers():
            self._idle.append(_Actor(self.threads, self._cluster, self._log_folder))

    def _look(self) -> None:
        """Follow the cluster until the pool is closed."""
        import ray

        while not self._over.wait(_LOOK_SECONDS):
            if not self._head_answers():
                continue
            with contextlib.suppress(ray.exceptions.RayError, RuntimeError, OSError):
                for text in self._cluster.changes(self._over.is_set):
                    self._resize()
                    trainers = counted(self.now, "trainer")
                    events.emit(events.ClusterChanged(self.now, f"{text} ({trainers} now)"))

    def _resize(self) -> None:
        """Have as many trainers as fit now, and none that is or would be on a lost node."""
        with self._lock:
            if self.stopped:
                return
            self.now = min(self.count, self._cluster.room)
            used = {node.id for node in self._cluster.used}
            for actor in [actor for actor in self._idle if not actor.places <= used]:
                self._idle.remove(actor)
                actor.kill()
            self._fill()

    def _give_back(self, actor: _Actor) -> None:
        with self._lock:
            self._busy.discard(actor)
            if actor.alive and not self.stopped:
                self._idle.append(actor)
            else:
                actor.kill()

    def _end(self, why: str) -> None:
        self._over.set()
        with self._lock:
            self.stopped = self.stopped or why
            for actor in (*self._idle, *self._busy):
                actor.kill()
            self._idle.clear()

    def close(self, why: str = "the sweep was stopped") -> None:
        """Kill all trainers. Their current jobs are lost; their replies say why."""
        self._end(why)
        end = time.monotonic() + _PATIENCE_SECONDS
        while self._busy and time.monotonic() < end:  # Ray ends what they wait for
            time.sleep(_POLL_SECONDS)
        if self._head_answers():  # else it may wait for the head
            self._looking.join(_PATIENCE_SECONDS)
        ray_cluster.leave()


class _Lost(Exception):
    """The actor or its node is gone. Says how."""


class _Actor:
    """The driver's side of a trainer on the cluster."""

    def __init__(self, threads: int, cluster: Cluster, log_folder: Path) -> None:
        import ray

        self.places = {node.id for node in cluster.used}
        """Ids of the nodes where it may be; once it has started, of its own."""
        remote: Any = ray.remote(_Trainer)
        self._actor = remote.options(
            num_cpus=threads,
            num_gpus=cluster.share,
            # Without spaces: Ray takes them for a part of the id that follows.
            label_selector={"ray.io/node-id": f"in({','.join(sorted(self.places))})"},
            max_concurrency=2,  # it can be stopped while it runs a job
            max_restarts=0,
            max_task_retries=0,
        ).remote(threads, str(log_folder))
        self._where = self._actor.where.remote()
        self.node = ""
        """Its name, once it has started."""
        self.fault = ""
        """Why it could not start."""
        self.alive = True

    def has_started(self) -> bool:
        """Whether it can take jobs."""
        import ray

        if not self.node and not self.fault:
            done, _ = ray.wait([self._where], timeout=0)
            if done:
                try:
                    place, self.node = ray.get(done[0])
                    self.places = {place}
                except ray.exceptions.RayError as error:
                    self.fault = ray_cluster.last_line(error)
        return bool(self.node)

    def run(self, job: AnyJob, over: Callable[[], bool]) -> Reply:
        """The reply to one job.

        Args:
            job: what to do.
            over: whether nobody waits for the reply any more.

        Raises:
            _Lost: the actor or its node is gone, or nobody waits.
        """
        import ray

        job = replace(job, data=absolute(job.data))
        if isinstance(job, Job):
            job = replace(job, process=_NO_PROCESS, node=self.node)
        try:
            lines = self._actor.run.options(num_returns="streaming").remote(JOBS.write(job))
            while not over():
                ready, _ = ray.wait([lines], timeout=_POLL_SECONDS)
                if ready:
                    message = TRAINER_MESSAGES.read(ray.get(next(lines)))
                    if isinstance(message, Reply):
                        return message
                    events.emit(message)
        except StopIteration:
            pass
        except InvalidMessage as error:
            self.kill()
            return Reply("FAILED", f"the trainer on {self.node} sent an invalid message: {error}")
        except ray.exceptions.RayTaskError as error:
            self.kill()
            return Reply("FAILED", f"the trainer on {self.node} failed: {error.cause}")
        except ray.exceptions.RayError as error:
            self.kill()
            raise _Lost(ray_cluster.last_line(error)) from None
        except BaseException:
            self.kill()  # its reply to this job would be read as the reply to the next
            raise
        self.kill()
        raise _Lost("it ended without a reply")

    def kill(self) -> None:
        """Kill the actor, and its trainer with it; do nothing if it has ended."""
        import ray

        self.alive = False
        if ray.is_initialized():
            self._actor.stop.remote()  # without a head, Ray kills nothing
            ray.kill(self._actor)


class _Trainer:
    """The actor. Ray makes it on a node."""

    def __init__(self, threads: int, log_folder: str) -> None:
        import ray

        self._node = ray.get_runtime_context().get_node_id()
        folder = Path(log_folder) / "ray" / self._node[:12]  # each node keeps some logs
        self._pool = TrainerPool(1, threads, folder)

    def where(self) -> tuple[str, str]:
        """Id and name of the node."""
        import platform

        return self._node, node_name(platform.node(), self._node)

    def stop(self) -> None:
        """End the trainer, whatever it does."""
        self._pool.close()

    def run(self, line: bytes) -> Iterator[bytes]:
        """Run a job on this node's data; yields messages, and the reply last."""
        import os

        job = replace(JOBS.read(line), cache=str(cache_dir(os.environ)))
        told: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def work() -> None:
            try:
                told.put(self._pool.run(job))
            except Interrupted as error:
                told.put(Reply("KILLED", str(error), stops_sweep=True))
            except Exception as error:
                told.put(Reply("FAILED", f"{type(error).__name__}: {error}"))

        with events.listening(told.put):
            threading.Thread(target=work, daemon=True).start()
            while True:
                message = told.get()
                yield TRAINER_MESSAGES.write(message)
                if isinstance(message, Reply):
                    return
