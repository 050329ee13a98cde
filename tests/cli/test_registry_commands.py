"""champion, promote, rollback, history and retrain: thin shells over the registry and the flow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.retraining.outcome import RetrainOutcome
from cnn_pipeline.champion.retraining.settings import NotifySettings, RetrainSettings
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.settings.engine import LOCAL, Engine
from cnn_pipeline.tracking.store import Store
from tests.champion.retraining.stored import DATASET, keras_file, log_run
from tests.cli.test_commands import module

NAME = f"{DATASET}-cnn"


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def runs(home: Home) -> tuple[str, str]:
    """Ids of two runs with a model."""
    store = Store(home.database_uri, home.artifacts_uri)
    first = log_run(store, keras_file(b"1"))
    return first.run_id, log_run(store, keras_file(b"2"), "f8-max-s0").run_id


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


def test_history_is_plotted(
    home: Home, runs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in runs:
        assert call(home, "promote", run, "--why", "a reason") == 0
    capsys.readouterr()
    assert call(home, "history", "--plot") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{NAME}: test accuracy of the champion"
    assert "1  promoted" in lines[3] and lines[4].endswith("75.0 %")
    for name, begin in (("a.html", b"<!doctype"), ("a.svg", b"<svg"), ("a.PNG", b"\x89PNG")):
        assert call(home, "history", "--plot", "--output", str(tmp_path / name)) == 0
        assert (tmp_path / name).read_bytes().startswith(begin)
        out, err = capsys.readouterr()
        assert out == "" and f"wrote {tmp_path / name}" in err
    assert call(home, "history", "--json", "--plot", "--output", str(tmp_path / "a.txt")) == 2
    faults = capsys.readouterr().err
    assert "not both" in faults and "must end in .html, .svg, .png" in faults
    assert call(home, "history", "--output", str(tmp_path / "a.svg")) == 2
    assert "--output: needs --plot" in capsys.readouterr().err


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
        self.engine: Engine | None = None

    def __call__(
        self, settings: RetrainSettings, home: Home, *, force: bool, workers: int, engine: Engine
    ) -> RetrainOutcome:
        self.engine = engine
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
    file.write_text(
        '[gate]\nmargin = 0.25\n[notify]\nblocks = ["a/b"]\n[sweep]\nseeds = [4]\n',
        encoding="utf-8",
    )
    home = Home(tmp_path / "home")
    words = ["--settings", str(file), "--filters", "8,16", "--force", "--workers", "2", "--json",
             "--notify-on", "refused,failed"]  # fmt: skip
    assert call(home, "retrain", *words) == 0
    assert json.loads(capsys.readouterr().out)["message"] == "nothing changed since version 3"
    ((settings, place, force, workers),) = flow.calls
    assert (place, force, workers) == (home, True, 2)
    assert settings.gate.margin == 0.25
    assert settings.notify == NotifySettings(blocks=("a/b",), on=("refused", "failed"))
    assert settings.sweep.labels == ("f8-max", "f16-max")
    assert settings.sweep.seeds == "auto", "flags of a sweep replace that of the file"


def test_retrain_without_flags_has_the_flows_own_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flow = stand_in(monkeypatch, "promoted", "version 1 promoted")
    assert call(Home(tmp_path), "retrain") == 0
    assert flow.calls == [(RetrainSettings(), Home(tmp_path), False, 0)]
    assert flow.engine == LOCAL


def test_retrain_says_where_trainers_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = stand_in(monkeypatch, "promoted", "version 1 promoted")
    file = tmp_path / "settings.toml"
    file.write_text('engine = "ray"\nretries = 5\n[gate]\nmargin = 0.25\n', encoding="utf-8")
    words = ["retrain", "--settings", str(file)]
    assert call(Home(tmp_path), *words, "--gpu-share", "0.5") == 0
    assert flow.engine == Engine(engine="ray", gpu_share=0.5, retries=5)
    assert call(Home(tmp_path), *words, "--engine", "local") == 0
    assert flow.engine == LOCAL
    assert call(Home(tmp_path), "retrain", "--retries", "5", "--workers", "x") == 2
    told = capsys.readouterr().err
    assert "--engine: must be ray for retries, received local" in told and "--workers" in told


@pytest.mark.parametrize(
    ("ending", "status"),
    [("promoted", 0), ("refused", 0), ("unchanged", 0), ("skipped", 0), ("missed", 0),
     ("stopped", 1), ("failed", 1)],
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
    words = ["--settings", str(file), "--filters", "0", "--workers", "-1", "--forse",
             "--notify-on", "refusal"]  # fmt: skip
    assert call(Home(tmp_path), "retrain", *words) == 2
    told = capsys.readouterr().err
    for fault in ("gate.margin", "--filters", "--workers", "unknown flag --forse",
                  "--notify-on: must be promoted, refused, stopped, failed or missed, received "
                  "'refusal'"):  # fmt: skip
        assert fault in told


def test_notify_says_that_a_named_server_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    api = "http://127.0.0.1:1/api"
    monkeypatch.setenv("PREFECT_API_URL", api)
    with temporary_settings({PREFECT_API_URL: api}):
        assert call(Home(tmp_path), "notify") == 2
    told = capsys.readouterr().err
    assert f"{api} must answer" in told and "unset PREFECT_API_URL" in told
    assert "trials" not in told


def test_doctor_ends_a_run_in_words_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = "7ecfd3ad-6514-4ce5-90fd-2dd76ddbdd7e"
    assert call(Home(tmp_path), "doctor", "--end", run, "--json") == 2
    assert "give --json or --end, not both" in capsys.readouterr().err
