"""Retrainings that meet: two at once, and one that is killed while its candidates are scored."""

from __future__ import annotations

import json
import time

import pytest

from cnn_pipeline.base.home import Home
from cnn_pipeline.tracking import names
from tests.faults.commands import TINY_RUN, command, run_again, seconds_since
from tests.faults.promises import all_runs, assert_one_champion, unfinished
from tests.recording import Recorded
from tests.running import DEADLINE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SOURCE = "fashion-mnist-sample"
MODEL = f"{SOURCE}-cnn"
TINY_RETRAIN = ("retrain", *TINY_RUN[1:], "--json")


def ending(said: str) -> str:
    """How the retraining ended, as its JSON says."""
    return str(json.loads(said[said.index("{") : said.rindex("}") + 1])["ending"])


@pytest.mark.long
def test_the_second_of_two_is_skipped(home: Home, recorded: Recorded) -> None:
    with recorded("two retrainings at once", "while the first one trains", "I1 I6"):
        at = "cnn_pipeline.trainers.trial _Reporter.on_epoch"
        with command(home, *TINY_RETRAIN, pause_at=at) as first:
            first.wait_for_pause(2 * DEADLINE)
            status, said = run_again(home, *TINY_RETRAIN)
            assert (status, ending(said)) == (0, "skipped"), said
            first.resume()
            assert first.wait() == 0, first.said()
            assert ending(first.said()) == "promoted"
        assert unfinished(all_runs(home)) == []
        assert assert_one_champion(home, MODEL, SOURCE).version == 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("moment", "at"),
    [
        ("the candidates are scored", "cnn_pipeline.champion.retraining.scoring score_both"),
        ("the champion changes", "cnn_pipeline.champion.registry.promoter Promoter._carry_out"),
    ],
)
def test_the_next_one_trains_no_candidate_again(
    home: Home, recorded: Recorded, moment: str, at: str
) -> None:
    with recorded("power loss in a retraining", moment, "I1 I3 I6 I7") as row:
        with command(home, *TINY_RETRAIN, pause_at=at) as killed:
            killed.wait_for_pause(2 * DEADLINE)
            begin = time.monotonic()
            killed.kill_all()
        complete = {
            run.info.run_id for run in all_runs(home) if run.data.tags.get(names.COMPLETE) == "true"
        }
        assert len(complete) == 2
        status, said = run_again(home, *TINY_RETRAIN)
        row.recovered(seconds_since(begin))
        assert status == 0, said
        runs = all_runs(home)
        assert unfinished(runs) == []
        trained = {
            run.info.run_id
            for run in runs
            if run.data.tags.get(names.COMPLETE) == "true"
            and names.REUSED_FROM not in run.data.tags
        }
        assert trained == complete
        assert assert_one_champion(home, MODEL, SOURCE).version == 1
