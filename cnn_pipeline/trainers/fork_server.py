"""A process that imports what trainers need, once, and forks each trainer from itself.

A fork takes ten milliseconds and shares the imported pages. A trainer of its own process takes
five seconds of processor time and a few hundred MiB. So trainers are cheap to replace, and
TensorFlow is imported only once.

`launching` starts it as `python -m cnn_pipeline.trainers.fork_server FD`. FD is one end of a Unix
socket of packets (`messages`). The server receives `Fork`, with the trainer's stdin, stdout and
stderr, and `Kill`. It sends `Delay` if the imports take longer than usual, `Ready` after them, and
`Ended` for each trainer. When the socket closes, it waits for its trainers and exits: they were
killed, or their own pipes close because the sweep died.

The server computes nothing, because a fork does not copy threads: TensorFlow starts its own with
the first operation, in the trainer. Linux only (pidfd, prctl, packets): libraries of macOS do not
survive a fork. `multiprocessing`'s fork server, the model of this one, would run the caller's main
module in each child and give it the caller's stderr.
"""

from __future__ import annotations

import ctypes
import errno
import os
import selectors
import signal
import socket
import sys
import traceback
import warnings
from typing import NoReturn

from cnn_pipeline.base import events
from cnn_pipeline.trainers import messages, trainer

_STREAMS = 3
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Import, then fork until the socket closes."""
    trainer.ignore_signals()
    # If a parent ignored SIGCHLD, waitpid would fail.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Python 3.12 and later warn at each fork. Decision 14 says which threads there are.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    channel = socket.socket(fileno=int(sys.argv[1]))
    trainer.preload(lambda text: _tell(channel, events.Delay(text)))
    _tell(channel, messages.Ready())
    Server(channel).serve()
    sys.stdout.flush()
    os._exit(0)  # Python's cleanup would take 0.1 s for nothing


class Server:
    """Forks and kills trainers on request."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._selector = selectors.DefaultSelector()
        self._selector.register(channel, selectors.EVENT_READ)
        self._pids: dict[int, int] = {}

    def serve(self) -> None:
        """Serve until the other end closes; then wait until the last trainer has ended."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._channel:
                    self._selector.unregister(key.fd)
                    os.close(key.fd)
                    self._reap(key.data)
                elif not self._obey():
                    while self._pids:
                        self._reap(next(iter(self._pids)))
                    return

    def _obey(self) -> bool:
        """Handle one request. Returns False at the end of the channel."""
        try:
            packet, streams, _, _ = socket.recv_fds(
                self._channel, messages.FORK_PACKET_BYTES, _STREAMS
            )
        except ConnectionResetError:
            # The sweep was killed with unread packets. This is raised once; its requests follow.
            return True
        if not packet:
            return False
        request = messages.FORK_REQUESTS.read(packet)
        if isinstance(request, messages.Kill):
            self._kill(request.number)
        else:
            self._fork(request.number, request.threads, streams)
        return True

    def _kill(self, number: int) -> None:
        pid = self._pids.get(number)
        if pid is not None:  # not reaped yet, so no other process can have its pid
            os.kill(pid, signal.SIGKILL)

    def _fork(self, number: int, threads: int, streams: list[int]) -> None:
        sys.stdout.flush()  # or each trainer would print the server's buffer again
        server = os.getpid()
        try:
            if len(streams) != _STREAMS:
                raise OSError(errno.EMFILE, "a trainer's streams did not arrive")
            pid = os.fork()
        except OSError as error:  # out of processes or memory: the other trainers go on
            sys.stderr.write(f"no trainer could be forked: {error}\n")
            sys.stderr.flush()
            _tell(self._channel, messages.Ended(number, 1))
        else:
            if pid == 0:
                self._become_trainer(server, streams, threads)
            self._pids[number] = pid
            self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, number)
        finally:
            for stream in streams:
                os.close(stream)

    def _become_trainer(self, server: int, streams: list[int], threads: int) -> NoReturn:
        try:
            _end_with(server)
            for target, stream in enumerate(streams):
                os.dup2(stream, target)
                os.close(stream)
            for key in list(self._selector.get_map().values()):
                os.close(key.fd)
            self._selector.close()
            trainer.serve(threads)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(1)

    def _reap(self, number: int) -> None:
        _, status = os.waitpid(self._pids.pop(number), 0)
        _tell(self._channel, messages.Ended(number, os.waitstatus_to_exitcode(status)))


def _end_with(server: int) -> None:
    """Have the kernel kill this process when the server ends, which nothing else would detect."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != server:  # the server ended before the call
        os._exit(1)


def _tell(channel: socket.socket, message: messages.ForkMessage) -> None:
    try:
        channel.send(messages.FORK_MESSAGES.write(message))
    except (BrokenPipeError, ConnectionResetError):
        return  # the sweep is gone; the next read finds out


if __name__ == "__main__":
    main()
