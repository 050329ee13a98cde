"""The frame of these tests: a fault becomes a line of JSON, whether its test passes or not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TEST = """
import pytest

@pytest.mark.parametrize("ok", [True, False])
def test_it(recorded, ok):
    with recorded(fault="kill -9", moment=f"moment {ok}", promises="I3 I7") as row:
        row.recovered(1.26)
        assert ok

def test_skipped(recorded):
    with recorded(fault="kill -9", moment="never", promises="I3"):
        pytest.skip("not here")

def test_wrong(recorded):
    with recorded(fault="kill -9", moment="never", promises="I9"):
        pass

@pytest.mark.fault(fault="bad bytes", promises="I4")
@pytest.mark.parametrize("kind", ["cut off"])
def test_marked(kind):
    assert not kind

@pytest.mark.long
def test_long():
    pass
"""


@pytest.mark.slow
def test_rows_are_written(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent.parent
    (tmp_path / "test_example.py").write_text(TEST)
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "--rootdir", root, "-c", root / "pyproject.toml",
            "-p", "tests.conftest", "-p", "no:cacheprovider",
            "--faults", tmp_path / "rows.jsonl", tmp_path / "test_example.py",
        ],
        cwd=root, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert "3 failed, 1 passed, 1 skipped, 1 deselected" in done.stdout, done.stdout + done.stderr
    assert "no promises: 'I9'" in done.stdout
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [(row["moment"], row["result"]) for row in rows] == [
        ("moment True", "passed"),
        ("moment False", "failed"),
        ("cut off", "failed"),
    ]
    assert rows[0]["promises"] == "I3 I7" and rows[0]["seconds"] == 1.3
    assert rows[0]["test"].endswith("test_it[True]")
