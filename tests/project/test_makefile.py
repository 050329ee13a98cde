"""The words that people, hooks and CI share."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.check_lock import read_lock

ROOT = Path(__file__).resolve().parent.parent.parent
HASHED = "--require-hashes --no-deps -r"
UV_FLAGS = "--python .venv/bin/python --compile-bytecode"
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def make(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    # A make that runs this suite hands its own words on.
    outer = {"ARGS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "PYTHON"}
    inherited = {k: v for k, v in os.environ.items() if k not in outer}
    return subprocess.run(
        ["make", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**inherited, **environ},
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what make reads, in a folder with a hard name and with nothing installed."""
    folder = tmp_path / "ein Ördner (1)"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, folder)
    return folder


def pretend_installed(checkout: Path) -> None:
    """Lay out what an installation leaves, with programs that print how they were called."""
    (checkout / ".venv" / "bin").mkdir(parents=True)
    for name in ("python", "cnn-pipeline", "uv"):
        pretend_program(checkout, name)
    for stamp in (".made", ".uv", ".runtime-installed", ".dev-installed"):
        (checkout / ".venv" / stamp).touch()


def pretend_program(checkout: Path, name: str, status: int = 0) -> None:
    path = checkout / ".venv" / "bin" / name
    path.write_text(f'#!/bin/sh\necho "{name} $@"\nexit {status}\n')
    path.chmod(0o755)


def test_make_alone_lists_the_commands(checkout: Path) -> None:
    done = make(checkout)
    listed = re.findall(r"^  make (\w+)", done.stdout, re.MULTILINE)
    assert {"run", "test", "install", "ui", "check", "help"} <= set(listed)
    phony = next(line for line in MAKEFILE.splitlines() if line.startswith(".PHONY:"))
    assert set(listed) == set(phony.split()[1:])


def test_an_installed_checkout_runs_at_once(checkout: Path) -> None:
    pretend_installed(checkout)
    assert make(checkout, "run").stdout == "cnn-pipeline run\n"
    assert make(checkout, "run", "ARGS=--epochs 1").stdout == "cnn-pipeline run --epochs 1\n"
    assert make(checkout, "ui").stdout == "cnn-pipeline ui\n"
    assert make(checkout, "install").returncode == 0


def test_a_changed_lock_installs_again(checkout: Path) -> None:
    pretend_installed(checkout)
    os.utime(checkout / "requirements.lock", (4e9, 4e9))
    done = make(checkout, "install")
    assert f"uv pip install {UV_FLAGS} {HASHED} requirements.lock\n" in done.stdout
    assert f"check install {HASHED}" not in done.stdout  # not by pip as well
    assert "--no-build-isolation --no-index --editable ." in done.stdout
    assert "pip --disable-pip-version-check --quiet --quiet check" in done.stdout


@pytest.mark.parametrize("fault", ["no wheel", "no download"])
def test_pip_installs_where_uv_cannot(checkout: Path, fault: str) -> None:
    pretend_installed(checkout)
    if fault == "no wheel":
        (checkout / ".venv" / "bin" / "uv").unlink()
    else:
        pretend_program(checkout, "uv", status=2)
    os.utime(checkout / "requirements.lock", (4e9, 4e9))
    done = make(checkout, "install")
    assert done.returncode == 0
    assert "uv could not install them; pip does, which takes some minutes" in done.stdout
    assert f"python -m pip --disable-pip-version-check install {HASHED} requirements.lock\n" in (
        done.stdout
    )


def test_uv_is_installed_with_the_hashes_of_the_lock(checkout: Path) -> None:
    pretend_installed(checkout)
    (checkout / ".venv" / ".uv").unlink()
    done = make(checkout, ".venv/.uv")
    assert "install --require-hashes --no-deps --only-binary :all: -r .venv/.uv" in done.stdout
    pins, faults = read_lock((checkout / ".venv" / ".uv").read_text(encoding="utf-8"))
    assert [pin.name for pin in pins] == ["uv"]
    assert faults == []


def test_the_suite_is_run_whole_or_what_is_quick(checkout: Path) -> None:
    pretend_installed(checkout)
    parallel = "-n 2 --dist loadfile --no-loadscope-reorder"
    assert make(checkout, "test").stdout == f"python -m pytest {parallel} -m not long\n"
    assert make(checkout, "quick").stdout == f"python -m pytest {parallel} --quick\n"


def test_the_numbers_are_compared_or_stored(checkout: Path) -> None:
    pretend_installed(checkout)
    assert make(checkout, "numbers").stdout == "python -m scripts.same_numbers --check\n"
    stored = make(checkout, "numbers", "ARGS=--write").stdout
    assert stored == "python -m scripts.same_numbers --write\n"


def test_the_faults_are_run_and_their_table_is_written(checkout: Path) -> None:
    pretend_installed(checkout)
    parallel = "-n 2 --dist loadfile --no-loadscope-reorder"
    pytest_, table = make(checkout, "faults").stdout.splitlines()
    assert pytest_ == f"python -m pytest {parallel} -m fault or long --faults build/faults.jsonl"
    assert table == "python scripts/faults_table.py build/faults.jsonl"
    some = make(checkout, "faults", "ARGS=tests/faults").stdout
    assert "build/faults.jsonl tests/faults\n" in some
    assert "python scripts/faults_table.py --keep build/faults.jsonl\n" in some


def test_a_wrong_python_is_told_with_a_remedy(checkout: Path) -> None:
    done = make(checkout, "install", "PYTHON=/nowhere/python3")
    assert done.returncode != 0
    assert "Python 3.11, 3.12 or 3.13 with venv is required" in done.stderr
    assert "make PYTHON=/path/to/python" in done.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.slow
def test_a_half_made_environment_is_made_anew(checkout: Path) -> None:
    broken = checkout / ".venv" / "bin"
    broken.mkdir(parents=True)
    (broken / "python").touch()
    done = make(checkout, ".venv/.made")
    assert done.returncode == 0, done.stderr
    assert "making .venv with Python 3.1" in done.stdout
    pip = subprocess.run([broken / "python", "-m", "pip", "--version"], check=False)
    assert pip.returncode == 0


def test_ci_uses_the_same_words() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    words = [line for line in script.splitlines() if line.startswith("make ")]
    assert words[0] == "make check"
    assert words[1].startswith('make test || make test ARGS="--last-failed ')
    assert "CNN_PIPELINE_REQUIRE_ALL=1" in script
    assert subprocess.run(["bash", "-n", ROOT / ".ci" / "run"]).returncode == 0
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
