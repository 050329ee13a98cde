"""Files that are made once: whole, of the right version, or not taken."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from cnn_pipeline.base.empty_database import keep_template, place_template
from cnn_pipeline.base.file_cache import keep_file, kept_content, kept_map


def keep(cache: Path, text: str, of: str = "1.0") -> None:
    keep_file(cache, "thing", of, lambda path: path.write_text(text))


def test_what_was_kept_is_found_by_name_and_version(tmp_path: Path) -> None:
    assert kept_content(tmp_path, "thing", "1.0") is None
    keep(tmp_path, "made")
    assert kept_content(tmp_path, "thing", "1.0") == b"made"
    assert kept_content(tmp_path, "thing", "1") is None
    assert kept_content(tmp_path, "other", "1.0") is None


def test_a_damaged_file_is_not_taken(tmp_path: Path) -> None:
    keep(tmp_path, "made")
    assert kept_content(tmp_path, "thing", "1.0") is not None
    (found,) = (tmp_path / "made").iterdir()
    found.write_text("mado")
    assert kept_content(tmp_path, "thing", "1.0") is None
    keep(tmp_path, "made")
    assert kept_content(tmp_path, "thing", "1.0") is not None


def test_a_file_that_is_gone_when_it_is_read_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has replaced it."""
    keep(tmp_path, "made")
    (found,) = (tmp_path / "made").iterdir()
    monkeypatch.setattr(Path, "glob", lambda *_: [tmp_path / f"thing-1.0-{found.name}"])
    assert kept_content(tmp_path, "thing", "1.0") is None


def test_a_mapped_file_is_verified_and_outlives_its_name(tmp_path: Path) -> None:
    assert kept_map(tmp_path, "thing", "1.0") is None
    keep(tmp_path, "made")
    found = kept_map(tmp_path, "thing", "1.0")
    (path,) = (tmp_path / "made").iterdir()
    keep(tmp_path, "new", of="2.0")
    assert not path.exists()
    assert found is not None and found[:] == b"made"
    (path,) = (tmp_path / "made").iterdir()
    for content in ("nev", ""):
        path.write_text(content)
        assert kept_map(tmp_path, "thing", "2.0") is None


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_kept_files_are_as_open_as_their_folder(tmp_path: Path, mode: int) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made").chmod(mode)
    keep(tmp_path, "made")
    (found,) = (tmp_path / "made").iterdir()
    assert found.stat().st_mode & 0o777 == mode & 0o666


def test_a_new_version_replaces_the_old_one(tmp_path: Path) -> None:
    keep(tmp_path, "old")
    keep(tmp_path, "new", of="2.0")
    assert [path.read_text() for path in (tmp_path / "made").iterdir()] == ["new"]


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - its own
        keep_file(tmp_path, "thing", "1.0", fail)
    assert list((tmp_path / "made").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    keep(tmp_path / "cache", "made")
    assert kept_content(tmp_path / "cache", "thing", "1.0") is None


def test_a_database_starts_from_the_template_also_while_it_is_in_use(tmp_path: Path) -> None:
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    assert not place_template(tmp_path / "cache", "prefect", second)
    assert not second.exists()
    with sqlite3.connect(first) as store:
        store.execute("PRAGMA journal_mode = WAL")
        for table in ("flow", "own"):
            store.execute(f"CREATE TABLE {table} (name TEXT)")
            store.execute(f"INSERT INTO {table} VALUES ('still in the log')")
        store.commit()
        keep_template(tmp_path / "cache", "prefect", first, without="own")
    store.close()
    assert not place_template(tmp_path / "cache", "mlflow", second)
    (tmp_path / "second.db-journal").write_text("of one that was there before")
    assert place_template(tmp_path / "cache", "prefect", second)
    copy = sqlite3.connect(second)
    assert copy.execute("SELECT name FROM flow").fetchall() == [("still in the log",)]
    assert copy.execute("SELECT name FROM own").fetchall() == []
    copy.close()
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "first.db", "second.db"}


def test_no_template_is_kept_of_a_database_that_is_not_there(tmp_path: Path) -> None:
    keep_template(tmp_path / "cache", "prefect", tmp_path / "nothing.db")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_nobody_may_look_into_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_file(tmp_path, "thing", "1", lambda path: path.write_bytes(b"content"))
    assert kept_content(tmp_path, "thing", "1") == b"content"

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "glob", refuse)
    assert kept_content(tmp_path, "thing", "1") is None
