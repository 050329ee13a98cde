"""The process that imports what trainers need, once, and forks each trainer from itself.

A fork takes ten milliseconds and shares the imported pages; a trainer started on its own takes
five seconds of processor time and a few hundred MiB. So a trainer is cheap to replace, and two
of them do not import TensorFlow twice.

Started by `launching` as `python -m cnn_pipeline.trainers.fork_server FD`, FD being one end of a
Unix socket of packets (`messages`): it gets `Fork`, with the trainer's stdin, stdout and stderr,
and `Kill`. It answers `Ready` once it has imported, before that `Delay` where that takes longer
than usual, and `Ended` for each trainer. When the socket closes it waits until its trainers have
ended, and ends: they have been killed, or see their own pipes close because the sweep has gone.

Nothing is computed here: a fork takes no threads along, and TensorFlow starts its own with the
first operation, in the trainer. Linux only (pidfd, prctl, packets): macOS' own libraries do
not survive a fork. `multiprocessing`'s fork server, the model of this one, runs the caller's main
module again in each child, and leaves its children the caller's stderr.
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
    # Inherited as ignored, it would let nobody be waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Python 3.12 and later say so of each fork; which threads there are: docs/decisions/0014.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    channel = socket.socket(fileno=int(sys.argv[1]))
    trainer.preload(lambda text: _tell(channel, events.Delay(text)))
    _tell(channel, messages.Ready())
    Server(channel).serve()
    sys.stdout.flush()
    os._exit(0)  # there is nothing to tidy up, for which Python would take 0.1 s


class Server:
    """Forks and ends trainers as the other end of its channel says."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._selector = selectors.DefaultSelector()
        self._selector.register(channel, selectors.EVENT_READ)
        self._pids: dict[int, int] = {}

    def serve(self) -> None:
        """Until the other end closes; then until the last trainer has ended."""
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
        """Do what one message says; False at the end of the channel."""
        try:
            packet, streams, _, _ = socket.recv_fds(
                self._channel, messages.FORK_PACKET_BYTES, _STREAMS
            )
        except ConnectionResetError:
            # The sweep was killed before it had read all: told once, what it wrote comes next.
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
        if pid is not None:  # it has not been waited for, so the number is still its own
            os.kill(pid, signal.SIGKILL)

    def _fork(self, number: int, threads: int, streams: list[int]) -> None:
        sys.stdout.flush()  # or what an import printed would be written by each trainer again
        server = os.getpid()
        try:
            if len(streams) != _STREAMS:
                raise OSError(errno.EMFILE, "a trainer's streams did not arrive")
            pid = os.fork()
        except OSError as error:  # no process or memory is left: the others go on
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
    """Have this process killed when the server ends: nobody else would notice its end."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != server:  # it has ended before that
        os._exit(1)


def _tell(channel: socket.socket, message: messages.ForkMessage) -> None:
    try:
        channel.send(messages.FORK_MESSAGES.write(message))
    except (BrokenPipeError, ConnectionResetError):
        return  # nobody listens any more; reading says so too


if __name__ == "__main__":
    main()
