"""Print the steps of a command that waits for other processes."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import click

from cnn_pipeline.base.quantities import clock

_EVERY_SECONDS = 5.0


class Steps:
    """Print steps on stderr, and every few seconds that the last one still runs.

    Args:
        first: the step that is printed when the block is entered.
        every: seconds between two reminders.
    """

    def __init__(self, first: str, every: float = _EVERY_SECONDS) -> None:
        self._first = first
        self._every = every
        self._step = ""
        self._since = 0.0
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._remind, daemon=True)

    def __enter__(self) -> Steps:
        self(self._first)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.done()

    def __call__(self, step: str) -> None:
        """Print a step, which from now on is the last one."""
        with self._lock:
            self._step, self._since = step, time.monotonic()
            click.echo(step, err=True)

    def done(self) -> None:
        """Print no more reminders."""
        with self._lock:  # not in the middle of a line
            self._over.set()

    def _remind(self) -> None:
        while not self._over.wait(self._every):
            with self._lock:
                if not self._over.is_set():
                    took = clock(time.monotonic() - self._since)
                    click.echo(f"still {self._step} ({took})", err=True)
