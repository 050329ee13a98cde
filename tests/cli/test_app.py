"""The program as a whole: statuses, messages, help, and commands in processes of their own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cnn_pipeline import __version__
from cnn_pipeline.base.errors import DataError, InvalidInput
from cnn_pipeline.cli.app import COMMANDS, app, status_of
from cnn_pipeline.cli.commands import sweeps as sweeps_command

MODULE = [sys.executable, "-m", "cnn_pipeline.cli"]


def program(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MODULE, *words],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "NO_COLOR": "1", **environ},
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: cnn-pipeline {command}")
    assert f"  cnn-pipeline {command}" in text.split("Examples:")[1]
    assert status_of([command, "-h"]) == 0


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["--help"]) == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", text, re.MULTILINE)


def test_examples_in_the_help_are_right(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each example's flags are known to its command."""
    seen = 0
    for command in [None, *COMMANDS]:
        status_of([*([command] if command else []), "--help"])
        for line in capsys.readouterr().out.split("Examples:")[1].splitlines():
            words = line.split()
            if words[:1] != ["cnn-pipeline"]:
                continue
            found = app.get_command(click.Context(app), words[1])
            assert found is not None, line
            known = {name for parameter in found.params for name in parameter.opts}
            assert {word for word in words if word.startswith("--")} <= known, line
            seen += 1
    assert seen > 15


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rnu"], "unknown command 'rnu'; did you mean 'run'?"),
        (["zzz"], "unknown command 'zzz'; commands are run, plan,"),
        (["--hepl"], "--hepl"),
        (["sweeps", "--jsno"], "unknown flag --jsno; did you mean '--json'?"),
    ],
)
def test_invalid_words_are_reported(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(words) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (InvalidInput(["a: b"]), 2, "error: a: b\n"),
        (InvalidInput(["a: b", "c: d"]), 2, "error: 2 faults\n  a: b\n  c: d\n"),
        (DataError("no source:\n  mirror: 404"), 1, "error: no source:\n  mirror: 404\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (
            ZeroDivisionError("by\nzero"),
            1,
            "error: unexpected ZeroDivisionError: by zero. "
            "Set CNN_PIPELINE_DEBUG=1 and run it again for a traceback.\n",
        ),
    ],
)
def test_every_exception_becomes_a_message_and_a_status(
    error: BaseException,
    status: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CNN_PIPELINE_DEBUG", raising=False)
    _raising(error, monkeypatch)
    assert status_of(["sweeps"]) == status
    # click itself leaves the line that '^C' was echoed on.
    assert capsys.readouterr().err.lstrip("\n") == message


def test_debugging_shows_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNN_PIPELINE_DEBUG", "1")
    _raising(ZeroDivisionError("by zero"), monkeypatch)
    assert status_of(["sweeps"]) == 1
    assert "Traceback" in capsys.readouterr().err


def _raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(ctx: click.Context) -> None:
        raise error

    monkeypatch.setattr(sweeps_command, "faults_of", fail)


def test_help_and_faults_load_nothing_heavy() -> None:
    """Start-up stays short because of what is not imported."""
    check = (
        "import sys\n"
        "from cnn_pipeline.cli.app import status_of\n"
        "status_of(sys.argv[1:])\n"
        "heavy = {'keras', 'tensorflow', 'mlflow', 'prefect', 'pandas', 'scipy', 'matplotlib'}\n"
        "sys.exit(f'imported: {heavy & set(sys.modules)}' if heavy & set(sys.modules) else 0)\n"
    )
    for words in (["--help"], ["run", "--help"], ["run", "--epochs", "0"], ["plan"]):
        done = subprocess.run([sys.executable, "-c", check, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    listing = subprocess.run(
        [sys.executable, "-c", check.replace("'keras'", "'pydantic', 'rich', 'numpy'"), "--help"],
        capture_output=True,
        text=True,
    )
    assert listing.returncode == 0, listing.stderr


def test_bad_input_leaves_nothing_behind(tmp_path: Path) -> None:
    home, cache = tmp_path / "home", tmp_path / "cache"
    done = program(
        "run", "--filters", "0,x", "--epochs", "0", "--learning-rate", "nan", "--seeds", "-1",
        "--worker", "2", "--workers", "-1", "--batch-size", "true", "--home", str(home),
        CNN_PIPELINE_CACHE=str(cache),
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: 8 faults",
        "  unknown flag --worker; did you mean '--workers'?",
        "  --workers: must be from 0 to 64, received -1",
        "  --filters: must be at least 1, received 0",
        "  --filters: must be a whole number, or one per layer as in 32-64, received 'x'",
        "  --seeds: must be at least 0, received -1",
        "  --epochs: must be at least 1, received 0",
        "  --batch-size: must be a whole number, received 'true'",
        "  --learning-rate: must be a finite number, received nan",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_plan_in_a_process_of_its_own(tmp_path: Path) -> None:
    done = program("plan", "--filters", "64", "--pooling", "max", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    (variant,) = plan["variants"]
    assert variant["num_params"] == 243_786
    assert variant["architecture"] == "28x28x1 > C64 3x3 > P2 > C64 3x3 > P2 > D128 > 10"
    shapes = ["x".join(map(str, layer["output_shape"])) for layer in variant["layers"]]
    assert shapes == ["26x26x64", "13x13x64", "11x11x64", "5x5x64", "1600", "128", "10"]


def test_a_closed_pipe_causes_no_traceback() -> None:
    plan = subprocess.Popen([*MODULE, "plan"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert plan.stdout is not None
    plan.stdout.close()
    _, err = plan.communicate(timeout=60)
    assert b"Traceback" not in err
    assert plan.returncode != 0
