"""`cnn-pipeline verdict`: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnn_pipeline.base.home import Home
from cnn_pipeline.cli.app import status_of
from tests.experiment.foreign_runs import Loop


@pytest.fixture
def loop(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", home.database_uri)
    made = Loop(home, tmp_path / "artifacts")
    made.grid()
    return made


WORDS = ("verdict", "--experiment", "digits", "--group-by", "units")


def test_the_answer_is_text_or_json(loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of([*WORDS]) == 0
    short = capsys.readouterr().out
    assert "6 runs of digits by units" in short and "units=64" in short
    assert status_of([*WORDS, "--details"]) == 0
    long = capsys.readouterr().out
    assert long.startswith(short.partition("\nNotes")[0])
    assert "nothing is said about new images" in " ".join(short.split())
    assert "new seeds, not for new images" in " ".join(long.split())
    assert "0 test images" not in long and "0 validation images" not in long
    assert "on validation" not in long
    assert "MACs" not in long  # what no run has logged has no column
    assert status_of([*WORDS, "--predictions", "predictions.csv", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema_version"] == 2
    assert found["sweep"]["runs"]["settings"] == ["units"]
    assert found["sweep"]["num_test"] == 500


def test_the_report_is_written_without_what_it_cannot_have(
    loop: Loop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("loss", 0.4), ("loss", 0.2), ("val_accuracy", 0.7), ("val_accuracy", 0.8)):
        run = loop.client.search_runs([loop.experiment])[0].info.run_id
        loop.client.log_metric(run, name, value, step=int(value * 10) % 2)
    page = tmp_path / "page.html"
    assert status_of([*WORDS, "--report", str(page), "--predictions", "predictions.csv"]) == 0
    assert f"wrote {page}" in capsys.readouterr().err
    text = page.read_text(encoding="utf-8")
    assert "6 runs of digits by units" in text
    assert "Learning curves" in text and "Confusions" in text
    assert "other programs made these runs" in text
    assert "ranked by test_accuracy itself" in text
    assert "Where variants disagree" not in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ["--experiment: is required", "--group-by: is required"]),
        (["--experiment", "digits", "--group-by", "a,,b", "--report", "/none/x.html"],
         ["--group-by: must be names as A,B", "folder '/none' does not exist"]),
        (["--experiment", "digits", "--group-by", "a,a"], ["--group-by: a is given twice"]),
        (["--experiment", "digit", "--group-by", "units"], ["did you mean 'digits'?"]),
        (["--experiment", "digits", "--group-by", "unit", "--metric", "f1"],
         ["did you mean 'units'?", "has the metric 'f1'; there are"]),
        (["--experiment", "digits", "--group-by", "units,seed"], ["these have one: units=16"]),
        (["--experiment", "digits", "--group-by", "units", "--tracking-uri", "sqlite:///no.db"],
         ["there is no file no.db"]),
    ],
)  # fmt: skip
def test_wrong_input_is_refused_all_at_once(
    loop: Loop, words: list[str], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["verdict", *words]) == 2
    received = capsys.readouterr()
    assert received.out == ""
    for fault in said:
        assert fault in received.err


def test_a_store_must_be_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert status_of([*WORDS]) == 2
    assert "--tracking-uri: is required" in capsys.readouterr().err
