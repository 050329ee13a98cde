"""The process that imports what trainers need, once, and forks each trainer from itself.

A fork takes ten milliseconds and shares the imported pages; a trainer started on its own takes
five seconds of processor time and a few hundred MiB. So a trainer is cheap to replace, and two
of them do not import TensorFlow twice.

Started by `workers` as `python -m cnn_pipeline.fork_server FD`, FD being one end of a Unix socket
of packets: `{"fork": number, "threads": n}` with the trainer's stdin, stdout and stderr, or
`{"kill": number}`. It answers `{"ready": true}` once it has imported, and
`{"ended": number, "status": code}`, the status as `subprocess` counts it. When the socket closes
it waits for its trainers, which see their own pipes close, and ends.

Nothing is computed here: a fork takes no threads along, and TensorFlow starts its own with the
first operation, in the trainer. Linux only (pidfd, prctl, packets): macOS' own libraries do
not survive a fork. `multiprocessing`'s fork server, the model of this one, runs the caller's main
module again in each child, and leaves its children the caller's stderr.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

from cnn_pipeline import trainer
from cnn_pipeline.messages import FORK_PACKET_BYTES

_STREAMS = 3
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Import, then fork until the socket closes."""
    # Ctrl-C reaches the whole process group; the sweep decides what becomes of its trainers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    trainer.preload()
    _tell(channel, {"ready": True})
    _Server(channel).serve()


class _Server:
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
        packet, streams, _, _ = socket.recv_fds(self._channel, FORK_PACKET_BYTES, _STREAMS)
        if not packet:
            return False
        message = json.loads(packet)
        if "kill" in message:
            pid = self._pids.get(message["kill"])
            if pid is not None:  # it has not been waited for, so the number is still its own
                os.kill(pid, signal.SIGKILL)
            return True
        pid = os.fork()
        if pid == 0:
            self._become_trainer(streams, message["threads"])
        for stream in streams:
            os.close(stream)
        self._pids[message["fork"]] = pid
        self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, message["fork"])
        return True

    def _become_trainer(self, streams: list[int], threads: int) -> NoReturn:
        try:
            _end_with_parent()
            for target, stream in enumerate(streams):
                os.dup2(stream, target)
                os.close(stream)
            for key in self._selector.get_map().values():
                os.close(key.fd)
            trainer.serve(threads)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(1)

    def _reap(self, number: int) -> None:
        _, status = os.waitpid(self._pids.pop(number), 0)
        _tell(self._channel, {"ended": number, "status": os.waitstatus_to_exitcode(status)})


def _end_with_parent() -> None:
    """Have this process killed when the server ends: nobody else would notice its end."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _tell(channel: socket.socket, message: dict[str, Any]) -> None:
    try:
        channel.send(json.dumps(message).encode())
    except (BrokenPipeError, ConnectionResetError):
        return  # nobody listens any more; reading says so too


if __name__ == "__main__":
    main()
