"""What a shell completes for the name of a sweep."""

import os

import pytest
from click.shell_completion import ShellComplete

from cnn_pipeline.base.home import HOME_VARIABLE, Home
from cnn_pipeline.cli.app import app
from cnn_pipeline.settings.sweep import Axes, Sweep
from tests.experiment.scripted_store import ScriptedSweep

GRID = Sweep(name="grid", axes=Axes(filters=(4, 8)))


def completed(*words: str) -> list[str]:
    shell = ShellComplete(app, {}, "cnn-pipeline", "_CNN_PIPELINE_COMPLETE")
    return [one.value for one in shell.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize("command", ["compare", "report", "watch"])
def test_the_ids_of_stored_sweeps(command: str, home: Home) -> None:
    for number in (1, 2):
        ScriptedSweep(home, GRID, f"grid-{number}")
    place = ["--home", str(home.root)]
    assert completed(command, *place, "gr") == ["grid-2", "grid-1"]
    assert completed(command, *place, "grid-1") == ["grid-1"]
    assert completed(command, *place, "x") == []


def test_nothing_where_there_is_no_store(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, os.path.join(home.root, "new"))
    assert completed("compare", "gr") == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert completed("compare", "gr") == []


def test_run_completes_a_sweep_only_for_more_seeds(home: Home) -> None:
    ScriptedSweep(home, GRID, "last-1")
    place = ["--home", str(home.root)]
    assert completed("run", *place, "--add-seeds", "2", "la") == ["last", "last-1"]
    assert completed("run", *place, "la") == []
