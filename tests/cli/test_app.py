"""The program as a whole: statuses, messages, help, and commands in processes of their own."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
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
            flags = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert flags <= known, line
            seen += 1
    assert seen > 15


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rnu"], "unknown command 'rnu'; did you mean 'run'?"),
        (["zzz"], "unknown command 'zzz'; commands are run, watch,"),
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


def test_an_unexpected_error_has_a_log_file_and_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CNN_PIPELINE_DEBUG", raising=False)
    monkeypatch.setenv("CNN_PIPELINE_CACHE", str(tmp_path / "cache"))
    _raising(ZeroDivisionError("by\nhttp://ann:s3cr3t@host"), monkeypatch)
    assert status_of(["sweeps", "--json"]) == 1
    said = capsys.readouterr().err
    (log,) = (tmp_path / "cache" / "errors").iterdir()
    assert said == (
        "error: unexpected ZeroDivisionError: by http://***@host. This is a fault of cnn-pipeline, "
        f"not of yours: please report it to its authors with this log file: {log}\n"
    )
    written = log.read_text()
    assert "\ncnn-pipeline sweeps --json\n" in written and ", keras " in written
    assert "Traceback (most recent call last)" in written and "s3cr3t" not in written
    assert log.stat().st_mode & 0o077 == 0


def test_a_log_file_goes_elsewhere_if_the_cache_takes_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("CNN_PIPELINE_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    _raising(ZeroDivisionError(), monkeypatch)
    assert status_of(["sweeps"]) == 1
    (log,) = tmp_path.glob("cnn-pipeline-*/*.log")
    assert capsys.readouterr().err.endswith(f"with this log file: {log}\n")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    assert status_of(["sweeps"]) == 1
    assert "unexpected ZeroDivisionError. This is" in (said := capsys.readouterr().err)
    assert "no log file could be written" in said and "CNN_PIPELINE_DEBUG=1" in said


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "x", "/home/x"), "error: a disk is full (/home/x). Make room, and "),
        (PermissionError(errno.EACCES, "x", "/x"), "error: /x: permission denied. Please make it "),
        (OSError(errno.EMFILE, "x"), "error: too many open files. Please let a process open more "),
        (MemoryError(), "error: the machine must have enough free memory, and has not. Take "),
        (ImportError("but the 'socksio' package"), "error: the environment names a SOCKS proxy"),
    ],
)
def test_a_fault_of_the_machine_is_not_unexpected(
    error: Exception,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _raising(error, monkeypatch)
    assert status_of(["sweeps"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(message) and said.count("\n") == 1


def test_debugging_shows_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CNN_PIPELINE_DEBUG", "1")
    monkeypatch.setenv("CNN_PIPELINE_CACHE", str(tmp_path))
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
    for words in (
        ["--help"],
        ["run", "--help"],
        ["run", "--epochs", "0"],
        ["plan", "--seeds", "0"],  # without a list it forecasts the rounds, which needs SciPy
    ):
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


INTERRUPTED_IN_A_CALLBACK = """
import signal, sys, time, weakref
from cnn_pipeline.cli import app

def work(*words, **options):
    thing = type("Thing", (), {})()
    ref = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    del thing  # Python calls the callback, which can raise nothing
    time.sleep(20)

app.app.main = work
app.main(["sweeps"])
"""


def test_ctrl_c_in_a_callback_of_the_interpreter_counts() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IN_A_CALLBACK],
        capture_output=True,
        text=True,
        timeout=15,
    )
    assert done.returncode == 130
    assert done.stderr == "error: interrupted\n"


def test_ctrl_c_at_the_end_keeps_the_exit_status() -> None:
    code = (
        "import atexit, time; from cnn_pipeline.cli import app\n"
        "def end(): print('ends', flush=True); time.sleep(20)\n"
        "app.status_of = lambda _: atexit.register(end) and 130\n"
        "app.main([])"
    )
    ending = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert ending.stdout is not None and ending.stdout.readline() == b"ends\n"
    ending.send_signal(signal.SIGINT)
    assert ending.wait(15) == 130
    ending.stdout.close()


def test_a_closed_terminal_ends_a_command_unless_nohup_protects_it() -> None:
    script = (
        "import signal; from cnn_pipeline.cli import app;"
        "app.app.main = lambda *words, **options: signal.raise_signal(signal.SIGHUP);"
    )
    nohup = "signal.signal(signal.SIGHUP, signal.SIG_IGN);"
    for before, status in (("", 129), (nohup, 0)):
        code = f"{script}{before}app.main(['sweeps'])"
        assert subprocess.run([sys.executable, "-c", code], timeout=15).returncode == status
