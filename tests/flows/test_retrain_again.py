"""A retraining during which another machine makes its own model champion."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from cnn_pipeline.base.home import Home
from cnn_pipeline.champion import register
from cnn_pipeline.champion.gate import GateResult
from cnn_pipeline.champion.registry import ModelVersion
from cnn_pipeline.champion.retraining import steps
from cnn_pipeline.champion.retraining.changes import Change, content_of, find_change
from cnn_pipeline.champion.retraining.outcome import (
    Assessment,
    Choice,
    Judgement,
    RetrainOutcome,
)
from cnn_pipeline.champion.retraining.settings import RetrainSettings
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.engine import LOCAL
from cnn_pipeline.settings.resuming import Resuming
from flows import retrain
from tests.champion.retraining.stored import DATASET, log_run

SETTINGS = RetrainSettings()
CHOICE = Choice(TrialResult("f4-max-s0", "f4-max", 0, "r", "FINISHED"), "sweep-1", "1", "")
NAME = f"{DATASET}-cnn"


def change() -> Change:
    return find_change(content_of("d", SETTINGS), (), force=False)


@pytest.fixture
def versions(home: Home, monkeypatch: pytest.MonkeyPatch) -> list[ModelVersion]:
    """Three registered ones; the first is champion."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    registry = register.open_registry(home)
    made = [registry.register(log_run(registry.store, b"%d" % number), {}) for number in (1, 2, 3)]
    registry.promote(made[0], "the first", expected=None)
    return made


@pytest.mark.parametrize("passed", [True, False])
def test_what_was_compared_with_an_earlier_champion_is_not_written(
    home: Home, versions: list[ModelVersion], passed: bool
) -> None:
    registry = register.open_registry(home)
    registry.promote(versions[1], "from another machine", expected=1)
    known = Assessment(NAME, versions[0], change(), None)
    gate = GateResult((), passed, "promote" if passed else "keep", "than version 1")
    judgement = Judgement(versions[2], gate)
    assert steps.decide(judgement, CHOICE, known, SETTINGS, home, {}) is None
    assert [one.champion_after for one in registry.history(NAME)] == [1, 2]
    now = Assessment(NAME, registry.champion(NAME), change(), None)
    outcome = steps.decide(judgement, CHOICE, now, SETTINGS, home, {})
    assert outcome is not None and outcome.ending == ("promoted" if passed else "refused")
    assert [one.champion_before for one in registry.history(NAME)] == [None, 1, 2]


def test_a_retraining_compares_its_candidate_with_the_champion_that_came_meanwhile(
    home: Home, versions: list[ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    champions = iter(versions)
    opponents: list[int] = []

    def assess(*_: Any) -> Assessment:
        return Assessment(NAME, next(champions), change(), None)

    def ask_gate(choice: Choice, known: Assessment, *_: Any) -> str:
        assert known.champion is not None
        opponents.append(known.champion.version)
        return "judged"

    def promote(judgement: str, *_: Any) -> RetrainOutcome | None:
        return RetrainOutcome("promoted", judgement) if len(opponents) == 3 else None

    stand_ins = {
        "fetch_data": lambda *_: None,
        "decide": lambda *_, **__: None,
        "crew_of": lambda *_: None,
        "trainer_pool": lambda *_: nullcontext(),
        "train_candidates": lambda *_: None,
        "choose_challenger": lambda *_: CHOICE,
        "decide_whether_changed": assess,
        "ask_gate": ask_gate,
        "promote": promote,
        "server_answers": lambda: True,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(retrain, name, stand_in)
    monkeypatch.setattr(steps, "fit_candidates", lambda *_: (SETTINGS, ()))
    monkeypatch.setattr(steps, "candidate_sweep", lambda *_: SETTINGS.sweep)
    monkeypatch.setattr(steps, "purpose", lambda *_: None)
    outcome = retrain.retrain_if_changed(SETTINGS, home, 0, False, Resuming(), LOCAL)
    assert outcome.message == "judged"
    assert opponents == [1, 2, 3]
