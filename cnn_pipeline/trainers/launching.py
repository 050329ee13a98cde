"""How a trainer's process is started: forked from a fork server where that is safe, or on its own.

Both give a process of which `workers` needs to know only three things: whether it has ended, with
which status, and how to kill it.
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
from cnn_pipeline.base.machine import backend_name
from cnn_pipeline.trainers import messages
from cnn_pipeline.trainers.environment import trainer_environment

_END_SECONDS = 5


class Process(Protocol):
    """What `subprocess.Popen` and `_Forked` have in common."""

    def poll(self) -> int | None:
        """Its status where it has ended, negative for a signal; else None."""

    def wait(self) -> int:
        """Block until it has ended; its status."""

    def kill(self) -> None:
        """End it at once; nothing where it has ended."""


class Launcher(Protocol):
    """Starts processes, and ends what it needed for that."""

    @property
    def alive(self) -> bool:
        """Whether it can start any."""

    def start(self, threads: int, stdin: int, stdout: int, log: BinaryIO) -> Process:
        """A trainer of that many threads on these streams."""

    def close(self) -> None:
        """Let go of what started them; they have been killed."""


def new_launcher(log: BinaryIO) -> Launcher:
    """A fork server where it can be one."""
    return ForkServer(log) if can_fork() else Spawner()


def can_fork() -> bool:
    """Whether trainers can be forked: not with JAX, whose threads start at its import.

    And only where a process can be watched as a file: on Linux, but not in every kernel and Python.
    """
    if backend_name() != "tensorflow":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


class Spawner:
    """Each process imports everything itself."""

    alive = True

    def start(self, threads: int, stdin: int, stdout: int, log: BinaryIO) -> Process:
        """A trainer of that many threads on these streams."""
        return subprocess.Popen(
            [sys.executable, "-m", "cnn_pipeline.trainers.trainer", str(threads)],
            stdin=stdin,
            stdout=stdout,
            stderr=log,
            env=trainer_environment(os.environ),
        )

    def close(self) -> None:
        """Nothing is left to end."""


class ForkServer:
    """A process that imports once; it starts importing at once."""

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
        """Whether the server runs."""
        return self._process.poll() is None

    def start(self, threads: int, stdin: int, stdout: int, log: BinaryIO) -> Process:
        """A trainer of that many threads on these streams, as soon as the server can."""
        with self._lock:
            forked = _Forked(len(self._started), self)
            self._started.append(forked)
            request = messages.FORK_REQUESTS.write(messages.Fork(forked.number, threads))
            try:
                socket.send_fds(self._channel, [request], [stdin, stdout, log.fileno()])
            except OSError:  # it has ended, or cannot be talked to
                self._process.kill()
                forked.end(self._process.wait())
        return forked

    def kill(self, number: int) -> None:
        """End one trainer."""
        with contextlib.suppress(OSError):  # it has ended with the server
            self._channel.send(messages.FORK_REQUESTS.write(messages.Kill(number)))

    def close(self) -> None:
        """End the server, where it listens after the trainers it killed: none outlives this."""
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
            self._process.kill()  # nobody can talk to it
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
            # Whoever shows it may fail; a trainer's end must be heard all the same.
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
    """A trainer that a fork server forks, or will."""

    def __init__(self, number: int, server: ForkServer) -> None:
        self.number = number
        self._server = server
        self._status: int | None = None
        self._ended = threading.Event()

    def end(self, status: int) -> None:
        """Called once it has ended; what is heard first counts."""
        if self._status is None:
            self._status = status
            self._ended.set()

    def poll(self) -> int | None:
        """Its status where it has ended, negative for a signal; else None."""
        return self._status

    def wait(self) -> int:
        """Block until it has ended; its status."""
        self._ended.wait()
        assert self._status is not None
        return self._status

    def kill(self) -> None:
        """End it at once; nothing where it has ended."""
        self._server.kill(self.number)


def new_log(folder: Path, kept: int) -> Path:
    """An empty log file of trainers in `folder`; of the older ones `kept` stay."""
    folder.mkdir(parents=True, exist_ok=True)
    ages: dict[Path, float] = {}
    for path in folder.glob("trainer-*.log"):
        with contextlib.suppress(FileNotFoundError):  # another sweep tidies up as well
            ages[path] = path.stat().st_mtime
    for path in sorted(ages, key=ages.__getitem__)[:-kept]:
        path.unlink(missing_ok=True)
    number = 0
    while True:
        path = folder / f"trainer-{os.getpid()}-{number}.log"
        with contextlib.suppress(FileExistsError), path.open("x"):
            return path
        number += 1
