"""All processes of a command are killed at once, as if the machine had lost its power.

No process can react to the end of another: no trainer notices a closed pipe, and no run is ended.
"""

from __future__ import annotations

import time

import pytest

from cnn_pipeline.base.home import Home
from tests.faults.commands import MOMENTS, TINY_RUN, TINY_TRIALS, command, run_again, seconds_since
from tests.faults.promises import all_runs, assert_converged, unfinished
from tests.recording import Recorded

IN_CI = {"training"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    [pytest.param(one, marks=() if one in IN_CI else pytest.mark.long) for one in MOMENTS],
)
def test_the_next_command_ends_the_runs_and_the_same_one_goes_on(
    home: Home, recorded: Recorded, moment: str
) -> None:
    with recorded(fault="power loss", moment=moment, promises="I3 I7") as row:
        with command(home, *TINY_RUN, pause_at=MOMENTS[moment]) as running:
            running.wait_for_pause()
            begin = time.monotonic()
            running.kill_all()
        # No run is in progress: the next command sees that from outside, and says so in the store.
        status, said = run_again(home, "list")
        assert status == 0, said
        assert unfinished(all_runs(home)) == []
        row.recovered(seconds_since(begin))
        status, said = run_again(home, *TINY_RUN)
        assert status == 0, said
        assert_converged(home, TINY_TRIALS)
