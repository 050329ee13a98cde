"""The corpus, and what is near to it: each reader returns or refuses, soon and with little memory.

`make fuzz` searches for minutes. A file that it finds is added to the corpus.
"""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import TARGET_NAMES
from tests.fuzz.targets import CORPUS, TARGETS, idx_header

ANNOUNCED = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2147483648,)}"
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())
ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_corpus_is_small_and_of_every_reader() -> None:
    assert {path.parent.name for path in FILES} == set(TARGET_NAMES)
    assert sum(path.stat().st_size for path in FILES) < 40_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_each_file_is_read_or_refused(path: Path) -> None:
    content = path.read_bytes()
    tracemalloc.start()
    TARGETS[path.parent.name](content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000, f"{peak:,} bytes for {len(content):,}"


@st.composite
def damaged(draw: st.DrawFn, name: str) -> bytes:
    """A file of the corpus with parts replaced, repeated, cut out or taken from another file."""
    seeds = [path.read_bytes() for path in FILES if path.parent.name == name]
    content = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 40)))
        new = draw(
            st.one_of(
                st.binary(max_size=12),
                st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\xff" * 8, b"-1", b"9" * 30, b"[" * 30]),
                st.just(content[start:end] * 3),
                st.sampled_from(seeds),
            )
        )
        content = content[:start] + new + content[end:]
    return content


@pytest.mark.parametrize("name", TARGET_NAMES)
def test_damaged_files_are_read_or_refused(name: str) -> None:
    @settings(
        max_examples=150,
        deadline=10_000,  # milliseconds
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(damaged(name))
    def read(content: bytes) -> None:
        TARGETS[name](content)

    read()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("idx", idx_header(2**16, 2**8, 2**7)),
        ("npy", b"\x93NUMPY\1\0\x60\0" + ANNOUNCED.ljust(0x60)),
    ],
)
def test_a_size_is_announced_before_memory_is_taken(name: str, content: bytes) -> None:
    tracemalloc.start()
    TARGETS[name](content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.slow
def test_the_search_finds_what_is_planted(tmp_path: Path) -> None:
    """A reader that fails on one word: branches lead the search to it, chance would not."""
    pytest.importorskip("atheris")
    script = tmp_path / "planted.py"
    script.write_text(
        "import atheris\n"
        "@atheris.instrument_func\n"
        "def read(data):\n"
        "    if data[:1] == b'B':\n"
        "        if data[1:2] == b'U':\n"
        "            if data[2:3] == b'G':\n"
        "                raise KeyError('found')\n"
        "atheris.Setup(['x', '-max_total_time=60', '-artifact_prefix=found-'], read)\n"
        "atheris.Fuzz()\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0 and "KeyError: 'found'" in done.stdout + done.stderr
    assert [path.read_bytes()[:3] for path in tmp_path.glob("found-crash-*")] == [b"BUG"]
