"""SIGTERM, SIGHUP, and Ctrl-C once and twice, in six moments of a sweep.

A signal ends the command in seconds with its status, no process is left, and no run is RUNNING.
The same command given again finishes the sweep.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from cnn_pipeline.base.home import Home
from tests.faults.commands import (
    MOMENTS,
    TINY_RUN,
    TINY_TRIALS,
    Command,
    command,
    run_again,
    seconds_since,
)
from tests.faults.promises import all_runs, assert_converged, unfinished
from tests.recording import Recorded
from tests.running import wait_until

SECONDS = 20  # a busy machine; alone it takes one or two


def terminate(running: Command) -> None:
    running.process.send_signal(signal.SIGTERM)


def hang_up(running: Command) -> None:
    running.process.send_signal(signal.SIGHUP)


def twice(running: Command) -> None:
    running.interrupt()
    time.sleep(0.5)
    if running.process.poll() is None:
        running.interrupt()


SIGNALS: dict[str, tuple[Callable[[Command], None], int]] = {
    "SIGTERM": (terminate, 143),
    "SIGHUP": (hang_up, 129),
    "Ctrl-C": (Command.interrupt, 130),
    "Ctrl-C twice": (twice, 130),
}
# The other combinations take a quarter of an hour: `make faults`.
IN_CI = {("SIGTERM", "logging"), ("Ctrl-C twice", "comparing")}


def combinations() -> list[object]:
    return [
        pytest.param(
            name,
            moment,
            id=f"{name}, {moment}",
            marks=() if (name, moment) in IN_CI else pytest.mark.long,
        )
        for name in SIGNALS
        for moment in MOMENTS
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "moment"), combinations())
def test_a_signal_ends_a_sweep_that_goes_on_when_run_again(
    home: Home, recorded: Recorded, name: str, moment: str
) -> None:
    send, status = SIGNALS[name]
    with recorded(fault=name, moment=moment, promises="I3 I7") as row:
        with command(home, *TINY_RUN, pause_at=MOMENTS[moment]) as running:
            running.wait_for_pause()
            begin = time.monotonic()
            send(running)
            assert running.wait(SECONDS) == status, running.said()
            assert "Traceback" not in running.said()
            wait_until(lambda: not running.alive(), f"these end: {running.alive()}", SECONDS)
            row.recovered(seconds_since(begin))
        if name != "Ctrl-C twice":  # else the next command ends them
            assert unfinished(all_runs(home)) == []
        again, said = run_again(home, *TINY_RUN)
        assert again == 0, said
        assert_converged(home, TINY_TRIALS)
