"""No run stays RUNNING: a sweep is killed where only little of it is missing.

`test_power_loss` has the moments between.
"""

from __future__ import annotations

import time

import pytest

from cnn_pipeline.base.home import Home
from cnn_pipeline.tracking import names
from tests.faults.commands import TINY_RUN, command, run_again, seconds_since
from tests.faults.promises import all_runs, unfinished
from tests.recording import Recorded
from tests.running import DEADLINE


@pytest.mark.slow
@pytest.mark.long
def test_a_sweep_that_has_only_its_run_is_ended(home: Home, recorded: Recorded) -> None:
    with recorded(fault="power loss", moment="the sweep's run was created", promises="I3") as row:
        at = "cnn_pipeline.tracking.writer Tracker.describe_sweep"
        with command(home, *TINY_RUN, pause_at=at) as running:
            running.wait_for_pause(2 * DEADLINE)
            running.kill_all()
        assert unfinished(all_runs(home)), "nothing was left to end"
        begin = time.monotonic()
        status, said = run_again(home, "list")
        row.recovered(seconds_since(begin))
        assert status == 0, said
        (run,) = all_runs(home)
        assert run.info.status == "KILLED"
        assert run.data.tags[names.REASON].startswith("its process is gone (")
        assert " stopped " in said
        assert "No verdict: its process is gone (" in " ".join(said.split())


@pytest.mark.slow
def test_a_trial_that_lacks_only_its_end_is_finished(home: Home, recorded: Recorded) -> None:
    moment = "a trial is complete, but has not ended"
    with recorded(fault="power loss", moment=moment, promises="I3") as row:
        at = "cnn_pipeline.tracking.writer Tracker.end"
        with command(home, *TINY_RUN, pause_at=at) as running:
            running.wait_for_pause(2 * DEADLINE)
            running.kill_all()
        assert len(unfinished(all_runs(home))) >= 2, "nothing was left to end"
        begin = time.monotonic()
        status, said = run_again(home, "doctor")
        row.recovered(seconds_since(begin))
        assert status == 0, said
        assert "none is stuck" in said
        runs = all_runs(home)
        complete = {run for run in runs if run.data.tags.get(names.COMPLETE) == "true"}
        assert {run.info.status for run in complete} == {"FINISHED"}
        assert {run.info.status for run in set(runs) - complete} == {"KILLED"}
