"""Start the process of a trainer: fork it from a fork server if that is safe, else spawn it.

Both return a process that `pool` can poll, wait for and kill.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import BinaryIO, Protocol

from cnn_pipeline.base import events
from cnn_pipeline.base.files import make_private
from cnn_pipeline.base.machine import backend_name
from cnn_pipeline.trainers import messages
from cnn_pipeline.trainers.environment import trainer_environment

_END_SECONDS = 5


class Process(Protocol):
    """What `subprocess.Popen` and `_Forked` have in common."""

    def poll(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""

    def wait(self) -> int:
        """Block until it ends. Returns the exit status."""

    def kill(self) -> None:
        """Kill it; do nothing if it has ended."""


class Launcher(Protocol):
    """Starts trainers."""

    @property
    def alive(self) -> bool:
        """Whether it can start trainers."""

    def start(self, threads: int, stdin: int, stdout: int, log: BinaryIO) -> Process:
        """Start a trainer with this many threads on these streams."""

    def close(self) -> None:
        """End the launcher. Its trainers must have been killed."""


def new_launcher(log: BinaryIO) -> Launcher:
    """A fork server if trainers can be forked, else a spawner."""
    return ForkServer(log) if can_fork() else Spawner()


def can_fork() -> bool:
    """Whether trainers can be forked.

    Not with JAX, which starts threads when imported, and only with pidfd: on Linux, but not with
    every kernel and Python.
    """
    if backend_name() != "tensorflow":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


class Spawner:
    """Starts processes that import everything themselves."""

    alive = True

    def start(self, threads: int, stdin: int, stdout: int, log: BinaryIO) -> Process:
        """Start a trainer with this many threads on these streams."""
        return subprocess.Popen(
            [sys.executable, "-m", "cnn_pipeline.trainers.trainer", str(threads)],
            stdin=stdin,
            stdout=stdout,
            stderr=log,
            env=trainer_environment(os.environ),
        )

    def close(self) -> None:
        """Do nothing."""


class ForkServer:
    """A process that imports once for all trainers, from when this is created."""

    def __init__(self, log: BinaryIO) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cnn_pipeline.trainers.fork_server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=trainer_environment(os.environ),
            )
        self._channel = ours
        self._log = log
        self._started: list[_Forked] = []
        self._lock = threading.Lock()
        self._listens = False
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def alive(self) -> bool:
        """Whether the server process runs."""
        return self._process.poll() is None

    def start(self, threads: int, stdin: int, stdout: int, log: BinaryIO) -> Process:
        """Start a trainer with this many threads on these streams, once the server is ready."""
        with self._lock:
            forked = _Forked(len(self._started), self)
            self._started.append(forked)
            request = messages.FORK_REQUESTS.write(messages.Fork(forked.number, threads))
            try:
                socket.send_fds(self._channel, [request], [stdin, stdout, log.fileno()])
            except OSError:  # the server has ended or closed its socket
                self._process.kill()
                forked.end(self._process.wait())
        return forked

    def kill(self, number: int) -> None:
        """Kill one trainer."""
        with contextlib.suppress(OSError):  # the server has ended, and the trainer with it
            self._channel.send(messages.FORK_REQUESTS.write(messages.Kill(number)))

    def close(self) -> None:
        """End the server. If it is ready, wait for its trainers first, so that none outlives it."""
        if self._listens:
            with contextlib.suppress(OSError):
                self._channel.shutdown(socket.SHUT_WR)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
        self._process.kill()
        self._process.wait()
        self._listener.join()
        self._channel.close()

    def _listen(self) -> None:
        try:
            while message := self._receive():
                self._hear(message)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
            self._process.kill()  # it has no socket any more
            status = self._process.wait()
        except (messages.InvalidMessage, LookupError) as error:
            self._process.kill()
            self._process.wait()
            with contextlib.suppress(OSError, ValueError):  # the log is closed
                self._log.write(f"the fork server sent an invalid message: {error}\n".encode())
                self._log.flush()
            status = 1
        with self._lock:
            for forked in self._started:
                forked.end(status)

    def _hear(self, message: messages.ForkMessage) -> None:
        if isinstance(message, events.Delay):
            # A listener may raise, but this thread must go on to receive `Ended`.
            with contextlib.suppress(Exception):
                events.emit(message)
            return
        if isinstance(message, messages.Ended):
            self._started[message.number].end(message.status)
        self._listens = True

    def _receive(self) -> messages.ForkMessage | None:
        try:
            packet = self._channel.recv(messages.FORK_PACKET_BYTES)
        except OSError:
            return None
        return messages.FORK_MESSAGES.read(packet) if packet else None


class _Forked:
    """A trainer that a fork server has forked or will fork."""

    def __init__(self, number: int, server: ForkServer) -> None:
        self.number = number
        self._server = server
        self._status: int | None = None
        self._ended = threading.Event()

    def end(self, status: int) -> None:
        """Record its exit status; only the first call counts."""
        if self._status is None:
            self._status = status
            self._ended.set()

    def poll(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._status

    def wait(self) -> int:
        """Block until it ends. Returns the exit status."""
        self._ended.wait()
        assert self._status is not None
        return self._status

    def kill(self) -> None:
        """Kill it; do nothing if it has ended."""
        self._server.kill(self.number)


def new_log(folder: Path, kept: int) -> Path:
    """Create an empty log file of trainers in `folder`, and keep only `kept` of the older ones."""
    make_private(folder)
    ages: dict[Path, float] = {}
    for path in folder.glob("trainer-*.log"):
        with contextlib.suppress(FileNotFoundError):  # another sweep deleted it
            ages[path] = path.stat().st_mtime
    for path in sorted(ages, key=ages.__getitem__)[:-kept]:
        path.unlink(missing_ok=True)
    number = 0
    while True:
        path = folder / f"trainer-{os.getpid()}-{number}.log"
        with contextlib.suppress(FileExistsError), path.open("x"):
            return path
        number += 1
