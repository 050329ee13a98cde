"""Show snapshots of a sweep on the whole screen of a terminal."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.live import Live

from cnn_pipeline.cli.screen import Screen
from cnn_pipeline.cli.snapshot import Snapshot
from cnn_pipeline.cli.watching import Follower

_HINT = "q leaves; the sweep goes on."
_KEY_SECONDS = 0.2


def follow(take: Callable[[], Snapshot]) -> int:
    """Show the sweep until it has ended or a key leaves, then print the last picture.

    Raises:
        UserError: there is no such sweep, or its store did not answer at the start.
    """
    console = Console()
    follower = Follower(take)
    try:
        with (
            contextlib.suppress(KeyboardInterrupt),
            _keys() as pressed,
            Live(_Latest(follower, console), console=console, screen=True, refresh_per_second=4),
        ):
            while not follower.over.is_set() and pressed() not in ("q", "Q"):
                pass
    finally:
        follower.over.set()
    if follower.fault is not None:
        raise follower.fault
    if follower.last.sweep_id:
        console.print(Screen(follower.last), crop=False)
    return 0


class _Latest:
    def __init__(self, follower: Follower, console: Console) -> None:
        self._follower, self._console = follower, console

    def __rich__(self) -> Screen:
        return Screen(self._follower.last, _HINT, self._console.height)


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[], str]]:
    """Yield a function that waits a moment for a key and returns it, or an empty text.

    Keys arrive without Enter and are not echoed; Ctrl-C works as ever.
    """
    if not sys.stdin.isatty():
        yield _no_key
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def pressed() -> str:
        if not select.select([terminal], [], [], _KEY_SECONDS)[0]:
            return ""
        return os.read(terminal, 1).decode("ascii", "replace")

    try:
        tty.setcbreak(terminal)
        yield pressed
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _no_key() -> str:
    time.sleep(_KEY_SECONDS)
    return ""
