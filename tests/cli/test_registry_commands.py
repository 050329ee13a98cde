"""champion, promote, rollback, history and retrain: thin shells over the registry and the flow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.retraining.outcome import RetrainOutcome
from cnn_pipeline.champion.retraining.settings import RetrainSettings
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.tracking.store import Store
from tests.champion.retraining.stored import DATASET, log_run
from tests.cli.test_commands import module

NAME = f"{DATASET}-cnn"


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def runs(home: Home) -> tuple[str, str]:
    """Ids of two runs with a model."""
    store = Store(home.database_uri, home.artifacts_uri)
    return log_run(store, b"1").run_id, log_run(store, b"2", "f8-max-s0").run_id


def call(home: Home, *words: str) -> int:
    return status_of([*words, "--home", str(home.root)])


def test_promote_champion_rollback_history(
    home: Home, runs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(home, "promote", runs[0], "--why", "the first") == 0
    assert capsys.readouterr().out == f"{NAME} version 1 is now the champion\n"
    assert call(home, "promote", runs[1], "--why", "smaller") == 0
    assert "version 2 is now the champion; version 1 is 'previous'" in capsys.readouterr().out
    assert call(home, "promote", runs[1], "--why", "smaller") == 0
    assert "is already the champion; nothing changed" in capsys.readouterr().out

    assert call(home, "champion") == 0
    text = capsys.readouterr().out
    for known in ("version 2", runs[1], "d" * 64, "flow-1", "smaller", "0.75"):
        assert known in text
    assert call(home, "champion", "--json") == 0
    champion = json.loads(capsys.readouterr().out)
    assert (champion["version"], champion["aliases"]) == (2, ["champion"])

    assert call(home, "rollback", "--why", "too small") == 0
    assert "version 1 is the champion again; version 2 is 'previous'" in capsys.readouterr().out
    assert call(home, "history", "--json") == 0
    decisions = json.loads(capsys.readouterr().out)["decisions"]
    assert [item["action"] for item in decisions] == ["promote", "promote", "rollback"]
    assert call(home, "history") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == NAME
    assert lines[1].endswith("version 1 promoted (champion none to 1): the first")
    assert lines[3].endswith("rolled back to version 1 (champion 2 to 1): too small")


@pytest.mark.parametrize("command", [("champion",), ("history",), ("rollback", "--why", "x")])
def test_without_a_registered_model_the_remedy_is_told(
    home: Home, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(home, *command) == 2
    assert "no model is registered yet. `cnn-pipeline retrain`" in capsys.readouterr().err


def test_all_faults_of_promote_are_told_at_once(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(home, "promote", "a", "b", "--because", "x") == 2
    told = capsys.readouterr().err
    assert "unknown flag --because" in told
    assert "unexpected argument 'b'" in told
    assert "--why: is required" in told


def test_a_reason_is_neither_empty_nor_endless(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(home, "rollback", "--why", "  ") == 2
    assert "--why: is required" in capsys.readouterr().err
    assert call(home, "rollback", "--why", "x" * 2001) == 2
    assert "at most 2,000 characters, received 2,001" in capsys.readouterr().err


def test_promoting_an_unknown_run_is_told(
    home: Home, runs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(home, "promote", "0" * 32, "--why", "x") == 2
    assert "no run" in capsys.readouterr().err


def test_an_unknown_model_is_told_with_those_there_are(
    home: Home, runs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    call(home, "promote", runs[0], "--why", "the first")
    capsys.readouterr()
    assert call(home, "champion", "--model", "nope") == 2
    assert f"must be one of {NAME}, received 'nope'" in capsys.readouterr().err


class Flow:
    """Stands in for the flow `retrain`."""

    def __init__(self, outcome: RetrainOutcome) -> None:
        self.outcome = outcome
        self.calls: list[tuple[RetrainSettings, Home, bool, int]] = []

    def __call__(
        self, settings: RetrainSettings, home: Home, *, force: bool, workers: int
    ) -> RetrainOutcome:
        self.calls.append((settings, home, force, workers))
        print("a library's chatter on stdout")
        return self.outcome


def stand_in(monkeypatch: pytest.MonkeyPatch, ending: str, message: str) -> Flow:
    flow = Flow(RetrainOutcome(ending, message))  # type: ignore[arg-type]
    module("cnn_pipeline.cli.launch", monkeypatch, run_retrain=flow)
    return flow


def test_retrain_starts_the_flow_with_what_was_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = stand_in(monkeypatch, "unchanged", "nothing changed since version 3")
    file = tmp_path / "settings.toml"
    file.write_text("[gate]\nmargin = 0.25\n[sweep]\nseeds = [4]\n", encoding="utf-8")
    home = Home(tmp_path / "home")
    words = ["--settings", str(file), "--filters", "8,16", "--force", "--workers", "2", "--json"]
    assert call(home, "retrain", *words) == 0
    assert json.loads(capsys.readouterr().out)["message"] == "nothing changed since version 3"
    ((settings, place, force, workers),) = flow.calls
    assert (place, force, workers) == (home, True, 2)
    assert settings.gate.margin == 0.25
    assert settings.sweep.labels == ("f8-max", "f16-max")
    assert settings.sweep.seeds == (0, 1, 2), "flags of a sweep replace that of the file"


def test_retrain_without_flags_has_the_flows_own_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flow = stand_in(monkeypatch, "promoted", "version 1 promoted")
    assert call(Home(tmp_path), "retrain") == 0
    assert flow.calls == [(RetrainSettings(), Home(tmp_path), False, 0)]


@pytest.mark.parametrize(
    ("ending", "status"),
    [("promoted", 0), ("refused", 0), ("unchanged", 0), ("skipped", 0), ("stopped", 1),
     ("failed", 1)],
)  # fmt: skip
def test_the_status_says_whether_a_person_has_to_look(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: str, status: int
) -> None:
    stand_in(monkeypatch, ending, "words")
    assert call(Home(tmp_path), "retrain") == status


def test_all_faults_of_retrain_are_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[gate]\nmargin = 2\n", encoding="utf-8")
    words = ["--settings", str(file), "--filters", "0", "--workers", "-1", "--forse"]
    assert call(Home(tmp_path), "retrain", *words) == 2
    told = capsys.readouterr().err
    for fault in ("gate.margin", "--filters", "--workers", "unknown flag --forse"):
        assert fault in told
