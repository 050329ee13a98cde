"""Folders that cannot be written, that belong to somebody else, or that have a hard name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnn_pipeline.base.home import Home
from tests.faults.commands import TINY_RUN, TINY_TRIALS, environment, run_again
from tests.faults.promises import assert_converged
from tests.recording import Recorded

# Root may write anywhere. Without these capabilities its processes are held to a folder's mode.
AS_ANYBODY = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
)

PLACES = {
    "the home": "",
    "the artifacts": "artifacts",
    "the state": "state",
    "the database": "mlflow.db",
}


def run_as_anybody(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*AS_ANYBODY, sys.executable, "-m", "cnn_pipeline.cli", *words],
        env=environment(home), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def listing(home: Home) -> list[Path]:
    return sorted(home.root.rglob("*"))


@pytest.fixture
def _needs_setpriv() -> None:
    if AS_ANYBODY and shutil.which("setpriv") is None:
        pytest.skip("root needs setpriv (util-linux) to give up its powers")


@pytest.mark.usefixtures("_needs_setpriv")
@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_read_only_place_is_named_before_the_work_starts(
    home: Home, recorded: Recorded, place: str
) -> None:
    home.state.mkdir(exist_ok=True)
    path = home.mlruns / PLACES[place]
    path.chmod(0o555 if path.is_dir() else 0o444)
    before = listing(home)
    with recorded(fault="read-only folder", moment=place, promises="I8"):
        done = run_as_anybody(home, *TINY_RUN)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(f"error: --home: must be writable, but {path} is not.")
        assert listing(home) == before


@pytest.mark.usefixtures("_needs_setpriv")
@pytest.mark.slow
def test_the_home_of_another_user_is_not_written(home: Home, recorded: Recorded) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder to another user")
    for path in [home.root, *home.root.rglob("*")]:
        os.chown(path, 65534, 65534)
    before = listing(home)
    with recorded(fault="another user's home", moment="before anything", promises="I8"):
        done = run_as_anybody(home, *TINY_RUN)
        assert done.returncode == 2, done.stderr
        assert f"must be writable, but {home.mlruns} is not" in done.stderr
        assert listing(home) == before
        read = run_as_anybody(home, "list")
        assert read.returncode in (0, 1), read.stderr
        assert "Traceback" not in read.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "日本語 עברית हिन्दी Ünïcödé 🧪",
        pytest.param('it\'s "quoted" & $HOME; (1) #2 \\ [x] {y}~', marks=pytest.mark.long),
        pytest.param(" leading, trailing ", marks=pytest.mark.long),
        pytest.param("x" * 200, marks=pytest.mark.long),
    ],
)
def test_a_path_of_any_letters_serves(
    home: Home, tmp_path: Path, recorded: Recorded, name: str
) -> None:
    """As home, and as the cache in it."""
    place = Home(tmp_path / name / "home")
    place.root.parent.mkdir()
    home.root.rename(place.root)
    shown = name if len(name) < 100 else f"{len(name)} letters"
    with recorded(fault="path with any letters", moment=f"home: {shown}", promises="I7"):
        for words in (TINY_RUN, ("compare",), ("doctor",)):
            status, said = run_again(place, *words, CNN_PIPELINE_CACHE=str(place.root / "cache"))
            assert status == 0 or words == ("doctor",), said
            assert "Traceback" not in said
            assert "unexpected" not in said
        assert_converged(place, TINY_TRIALS)
