"""What commands print."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.cli.output import print_json, program, writable_file


def test_the_program_is_named_as_it_can_be_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(tmp_path / ".venv" / "bin" / "cnn-pipeline"), "run"])
    assert program() == ".venv/bin/cnn-pipeline"
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "cnn_pipeline" / "cli" / "__main__.py")])
    assert program() == "python -m cnn_pipeline.cli"
    (tmp_path / "cnn-pipeline").touch(mode=0o755)
    assert program() == "cnn-pipeline"


def test_json_has_null_for_nan_and_infinity(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": math.nan, "b": [math.inf, 1.5], "c": {"d": (-math.inf, "ü", True, None)}})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": None, "b": [None, 1.5], "c": {"d": [None, "ü", True, None]}}
    assert "ü" in out


def test_stdout_stays_clean_for_python_native_code_and_children() -> None:
    program = (
        "import os, subprocess, sys\n"
        "from cnn_pipeline.cli.output import clean_stdout\n"
        "print('before')\n"
        "with clean_stdout():\n"
        "    print('python')\n"
        "    os.write(1, b'native\\n')\n"
        "    subprocess.run([sys.executable, '-c', 'print(\"child\")'], check=True)\n"
        "print('after')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["before", "after"]
    assert sorted(done.stderr.splitlines()) == ["child", "native", "python"]


def test_a_target_must_be_a_file_in_a_folder(tmp_path: Path) -> None:
    assert writable_file("--output", str(tmp_path / "x")) == tmp_path / "x"
    for text in ("", str(tmp_path), str(tmp_path / "no" / "x")):
        with pytest.raises(InvalidInput, match="--output: "):
            writable_file("--output", text)
