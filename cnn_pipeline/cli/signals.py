"""Ctrl-C, SIGTERM and SIGHUP as exceptions of the main thread, and where they are not raised."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import NoReturn

from cnn_pipeline.base.stops import raise_stop

INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_AGAIN_SECONDS = 0.05
_LONGEST_SECONDS = 20.0


def raise_signals() -> None:
    """Have signals end the command, so that its runs and child processes are ended too.

    Ctrl-C raises KeyboardInterrupt; SIGTERM, and SIGHUP without nohup, raise SystemExit. A command
    that Ctrl-C cannot end within 20 seconds is ended by the second one.
    """
    signals = _Signals()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored, as by `&`
        signal.signal(signal.SIGINT, signals.interrupt)
    signal.signal(signal.SIGTERM, signals.terminate)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        signal.signal(signal.SIGHUP, signals.terminate)
    sys.unraisablehook = _keep_interrupt


class _Signals:
    """Handlers that raise nothing inside `threading`, whose locks would stay as they are then.

    Only where the main thread waits in there is it interrupted: it is at the same place when the
    signal comes again.
    """

    def __init__(self) -> None:
        self._place: tuple[CodeType, int] | None = None
        self._interrupts = 0

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._comes_again(number, frame):
            return
        self._interrupts += 1
        if self._interrupts == 2:
            _later(_LONGEST_SECONDS, _end)
        raise_stop(KeyboardInterrupt())

    def terminate(self, number: int, frame: FrameType | None) -> None:
        if not self._comes_again(number, frame):
            raise_stop(SystemExit(128 + number))

    def _comes_again(self, number: int, frame: FrameType | None) -> bool:
        if frame is None or frame.f_code.co_filename != threading.__file__:
            return False
        place = (frame.f_code, frame.f_lasti)
        if place == self._place:
            return False
        self._place = place
        _send_again(number)
        return True


def _keep_interrupt(unraisable: sys.UnraisableHookArgs) -> None:
    """Send Ctrl-C once more if it came in a callback of the interpreter.

    Nothing can be raised from there: Python would print a traceback, and go on.
    """
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        _send_again(signal.SIGINT)
    else:
        sys.__unraisablehook__(unraisable)


def _send_again(number: int) -> None:
    main = threading.main_thread().ident
    assert main is not None
    _later(_AGAIN_SECONDS, lambda: signal.pthread_kill(main, number))


def _later(seconds: float, call: Callable[[], object]) -> None:
    timer = threading.Timer(seconds, call)
    timer.daemon = True  # the command may have ended by then
    timer.start()


def _end() -> NoReturn:
    os.write(2, b"error: interrupted\n")  # the streams may be locked
    os._exit(INTERRUPTED)
