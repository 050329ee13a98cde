"""The lock files, and the check of them."""

from pathlib import Path

import pytest

from scripts.check_lock import ROOT, check, read_lock, unmet

HASH = f"--hash=sha256:{'0' * 64}"


def test_the_lock_files_are_right() -> None:
    assert check(ROOT) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a==1", "a has no hash"),
        (f"a>=1 {HASH}", "a is not pinned with =="),
        ("a==1 --hash=md5:00", "a has 'md5:00', not a sha256"),
        (f"--index-url https://x/simple\na==1 {HASH}", "has an address: '--index-url'"),
        (f"a==1 {HASH} # from https://x/simple", "has an address: 'https://'"),
    ],
)
def test_a_wrong_line_is_told(text: str, fault: str) -> None:
    assert fault in read_lock(text)[1]


def test_a_right_lock_is_read_across_its_lines() -> None:
    pins, faults = read_lock(
        f"a==1 \\\n    {HASH} \\\n    {HASH}\nb==2 ; python_full_version < '3.12' \\\n    {HASH}\n"
    )
    assert faults == []
    assert [pin.name for pin in pins] == ["a", "b"]


@pytest.mark.parametrize(
    ("wanted", "fault"),
    [
        ("a>=1", None),
        ("A_B>=3 ; sys_platform == 'win32'", None),
        ("a>=2", "pyproject.toml requires a>=2, but it pins 1 (Python 3.11, linux)"),
        ("b>=2", "pyproject.toml requires b>=2, but it pins nothing (Python 3.12, linux)"),
        ("c", "pyproject.toml requires c, but it pins nothing (Python 3.11, linux)"),
    ],
)
def test_what_the_project_asks_for_must_be_pinned(wanted: str, fault: str | None) -> None:
    pins, _ = read_lock(f"a==1 {HASH}\nb==2 ; python_full_version < '3.12' {HASH}")
    assert unmet([wanted], pins) == ([] if fault is None else [fault])


def test_the_development_lock_must_hold_the_runtime_lock(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\n[project]\ndependencies = ['a']\n"
        "[project.optional-dependencies]\ntest = []\ndev = []\n"
    )
    (tmp_path / "requirements.lock").write_text(f"a==1 {HASH}")
    (tmp_path / "requirements-dev.lock").write_text(f"a==2 {HASH}")
    assert check(tmp_path) == ["requirements-dev.lock: lacks a==1, which requirements.lock pins"]
