"""What commands print."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.cli.output import program, readable_fault, require_writable, writable_file


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


def test_a_folder_that_takes_no_files_is_refused_before_the_work() -> None:
    with pytest.raises(InvalidInput, match=r"--output: folder '/proc' must be writable, received"):
        writable_file("--output", "/proc/report.html")
    with pytest.raises(InvalidInput, match=r"--output: folder '/proc' must be writable, received"):
        require_writable("--output", Path("/proc/not/yet"))


def test_a_folder_that_will_be_made_is_tried_where_it_will_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    require_writable("--output", Path("not") / "yet")
    require_writable("--output", tmp_path / "not" / "yet")
    assert list(tmp_path.iterdir()) == []


def test_a_file_to_read_is_named_by_what_is_wrong_with_it(tmp_path: Path) -> None:
    there, pipe = tmp_path / "a b.png", tmp_path / "pipe.png"
    there.touch()
    os.mkfifo(pipe)
    assert readable_fault("IMAGE", str(there)) == ""
    assert readable_fault("IMAGE", "") == "IMAGE: must be the path of a file, received ''"
    assert readable_fault("IMAGE", str(pipe)) == f"{pipe}: must be a file, and is a pipe"
    assert readable_fault("IMAGE", str(tmp_path)).endswith("must be a file, and is a folder")
    assert readable_fault("IMAGE", "/dev/null").endswith("must be a file, and is a device")
    assert readable_fault("IMAGE", str(there / "x")).endswith("Not a directory")
    assert readable_fault("IMAGE", str(tmp_path / "no")).endswith("no such file")


def test_characters_that_the_terminal_lacks_are_escaped_as_json_reads_them() -> None:
    code = (
        "import click, json\n"
        "from cnn_pipeline.cli.output import print_anything\n"
        "print_anything()\n"
        "click.echo(json.dumps('2 \u2192 3 \U0001f600 é', ensure_ascii=False))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "iso-8859-1"},
    )
    said = done.stdout.decode("iso-8859-1")
    assert r"2 \u2192 3 \ud83d\ude00 é" in said
    assert json.loads(said) == "2 → 3 \U0001f600 é"
