"""What becomes of a sweep's trials, without Prefect's server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prefect import State
from prefect.exceptions import CancelledRun
from prefect.states import Cancelled, Completed, Failed

from cnn_pipeline.experiment.sweep_run import SweepRun
from cnn_pipeline.network.results import TrialResult
from flows import tasks
from tests.running import Untrained, one_trial

DONE = TrialResult("f2-s0", "f2", 0, "run", "FINISHED")
AWAY = ConnectionError("MLflow is away")


def trained(monkeypatch: pytest.MonkeyPatch, *ended: tuple[Any, Callable[[], State[Any]]]) -> Any:
    """Results of trials whose tasks have ended so."""
    futures = [
        SimpleNamespace(
            wait=lambda: None, result=lambda *, raise_on_failure, end=end: end, state=state()
        )
        for end, state in ended
    ]
    runner = SimpleNamespace(submit=lambda task, parameters: futures[parameters["trial"].seed])
    monkeypatch.setattr(tasks, "_Threads", lambda pool: nullcontext(runner))
    monkeypatch.setattr(tasks, "_show_progress", lambda *_: None)
    monkeypatch.setattr(tasks, "prepare_finish", lambda: None)
    trials = one_trial().trials(range(len(futures)))
    pool = cast(Any, Untrained(1, 1, cast(Any, None)))
    return list(tasks.train_all(lambda: pool, cast(SweepRun, None), trials))


def test_a_cancelled_trial_has_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trained(monkeypatch, (CancelledRun(), Cancelled), (DONE, Completed)) == [DONE]


def test_an_error_that_is_no_result_ends_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConnectionError, match="MLflow is away"):
        trained(monkeypatch, (DONE, Completed), (AWAY, Failed), (DONE, Completed))
