"""Compiled code is cached where possible, and works without a cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # compiles in processes of their own

USE = """
import sys; sys.path.insert(0, {folder!r})
import numba
if {refuse}:
    real = numba.njit
    def refusing(*words, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function 'twice': no locator available")
        return real(*words, **options)
    numba.njit = refusing
import loops
print(loops.twice(21), *(() if {refuse} else loops.twice.stats.cache_hits.values()))
"""
LOOPS = """
from cnn_pipeline.network.compiled import compiled

@compiled
def twice(number):
    return number * {factor}
"""


TELL = """
import sys; sys.path.insert(0, {folder!r})
from cnn_pipeline.network.compiled import compiling
import loops
with compiling(lambda: print("compiling")):
    print(loops.twice(21), loops.twice(2.5))
"""


def used(folder: Path, *, refuse: bool = False) -> str:
    return printed(USE.format(folder=str(folder), refuse=refuse))


def printed(code: str) -> str:
    environment = {name: text for name, text in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=environment,
    )
    return done.stdout.strip()


def test_it_is_compiled_once_and_again_when_its_source_changes(tmp_path: Path) -> None:
    source = tmp_path / "loops.py"
    source.write_text(LOOPS.format(factor=2), "utf-8")
    assert used(tmp_path) == "42"
    assert used(tmp_path) == "42 1"
    source.write_text(LOOPS.format(factor=20), "utf-8")
    assert used(tmp_path) == "420"


def test_without_a_place_to_keep_it_it_is_compiled_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "loops.py").write_text(LOOPS.format(factor=2), "utf-8")
    for _ in range(2):
        assert used(tmp_path, refuse=True) == "42"


def test_compiling_is_told_once_before_it_begins_and_not_where_it_is_kept(tmp_path: Path) -> None:
    (tmp_path / "loops.py").write_text(LOOPS.format(factor=2), "utf-8")
    code = TELL.format(folder=str(tmp_path))
    assert printed(code).split() == ["compiling", "42", "5.0"]
    assert printed(code).split() == ["42", "5.0"]
