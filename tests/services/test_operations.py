"""`docs/operations.md` against the programs: no command in it is invented."""

from __future__ import annotations

import configparser
import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cnn_pipeline.cli.app import COMMANDS

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def commands(program: str) -> list[list[str]]:
    """Every call of a program in the document's blocks and in its text, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", TEXT, flags=re.M | re.S))
    lines = [line for block in blocks for line in block.splitlines()] + spans
    words = [shlex.split(line, comments=True) for line in lines if "'" not in line or '"' in line]
    return [line[1:] for line in words if len(line) > 1 and line[0] == program]


@pytest.mark.docs
def test_every_command_of_ours_is_there_with_its_flags() -> None:
    found = commands("cnn-pipeline")
    assert {"up", "down", "doctor", "deploy"} <= {line[0] for line in found}
    for name, *words in found:
        assert name in COMMANDS
        command: click.Command = importlib.import_module(
            f"cnn_pipeline.cli.commands.{name}"
        ).command
        flags = {flag for option in command.params for flag in option.opts}
        assert {word for word in words if word.startswith("-")} <= flags


@pytest.mark.docs
def test_every_target_of_make_is_there() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for line in commands("make"):
        assert {word for word in line if not word.startswith("-")} <= set(targets)


HELP = """
import contextlib, io, json, runpy, sys
program, paths = sys.argv[1], json.loads(sys.argv[2])
said = []
for path in paths:
    sys.argv = [program, *path, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            status = runpy.run_module(program, run_name="__main__", alter_sys=True) and 0
        except SystemExit as end:
            status = end.code or 0
    said.append([status, out.getvalue()])
print(json.dumps(said))
"""


@pytest.mark.slow
@pytest.mark.parametrize("program", ["prefect", "mlflow"])
def test_every_command_of_others_is_there_with_its_flags(program: str) -> None:
    found = commands(program)
    assert found
    paths = [[word for word in line if re.fullmatch(r"[a-z][a-z-]*", word)][:2] for line in found]
    done = subprocess.run(
        [sys.executable, "-c", HELP, program, json.dumps(paths)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    for line, path, (status, said) in zip(found, paths, json.loads(done.stdout), strict=True):
        assert status == 0, f"{program} {' '.join(path)}: {done.stderr}"
        for flag in line:
            if flag.startswith("--") and flag != "--no-prompt":
                assert flag in said, f"{program} {' '.join(path)} has no {flag}"


@pytest.mark.docs
def test_the_unit_runs_up_and_lets_it_end_the_rest() -> None:
    (text,) = re.findall(r"^```ini\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(text)
    assert unit["Service"]["ExecStart"].endswith("/.venv/bin/cnn-pipeline up")
    assert unit["Service"]["KillMode"] == "mixed"
    # `up` may need 30 s for a run and 45 s for the services.
    assert int(unit["Service"]["TimeoutStopSec"]) > 120
    assert unit["Install"]["WantedBy"] == "multi-user.target"
