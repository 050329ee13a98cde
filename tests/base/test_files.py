"""A file is there whole or not at all, and its bytes are hashed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from cnn_pipeline.base.files import file_name, make_private, move_whole, sha256_of, write_whole


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_no_other_user_can_enter_a_new_folder(tmp_path: Path, umask: int) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o770)
    before = os.umask(umask)
    try:
        make_private(shared / "mlruns" / "state" / "logs")
        make_private(shared / "mlruns" / "state" / "claims")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in shared.rglob("*")}
    assert modes == dict.fromkeys(("mlruns", "state", "logs", "claims"), 0o700)
    assert shared.stat().st_mode & 0o777 == 0o770


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(OSError, match="state"):
        make_private(tmp_path / "state" / "logs")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("f64-max-s0", "f64-max-s0"),
        ("../../etc/cron.d/x", "etc-cron.d-x"),
        ("/etc/passwd", "etc-passwd"),
        ("..", "unnamed"),
        ("", "unnamed"),
        ("a\0b\nc", "a-b-c"),
        ("schön 2.1", "schön-2.1"),
        ("x" * 300, "x" * 100),
        (".hidden", "hidden"),
    ],
)
def test_a_name_stays_in_its_folder(text: str, name: str) -> None:
    assert file_name(text) == name


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    target = tmp_path / "report.md"
    write_whole(target, "ü\n")
    write_whole(target, "new\n")
    assert target.read_text(encoding="utf-8") == "new\n"
    assert os.listdir(tmp_path) == ["report.md"]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report.md"
    target.write_text("old")

    def full(self: Path, target: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        write_whole(target, "new")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.md"]


def test_the_file_and_its_name_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, list[str]]] = []

    def fsync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, sorted(os.listdir(tmp_path))))

    monkeypatch.setattr(os, "fsync", fsync)
    (tmp_path / "new").write_bytes(b"content")
    move_whole(tmp_path / "new", tmp_path / "file")
    inode = (tmp_path / "file").stat().st_ino
    assert synced == [(inode, ["new"]), (tmp_path.stat().st_ino, ["file"])]


def test_the_hash_of_a_file(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()
