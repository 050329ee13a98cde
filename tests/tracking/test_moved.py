"""A home that was moved or copied has its own addresses, and the original keeps its bytes."""

from __future__ import annotations

import itertools
import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.registry import CHAMPION, Promoter, Registry
from cnn_pipeline.tracking.moved import ADDRESSES, path_of
from cnn_pipeline.tracking.store import Store, open_store
from tests.champion.retraining.stored import log_run


@pytest.fixture
def used(home: Home) -> Home:
    """A home with a run, a logged model and a champion."""
    promoter = Promoter(open_store(home, {}), home.state / "registry.lock")
    promoter.promote(promoter.register(log_run(promoter.store, b"weights"), {}), "w", expected=None)
    return home


def addresses(home: Home) -> dict[str, list[Path]]:
    """By table, where its `file:` addresses lead."""
    with closing(sqlite3.connect(home.database)) as database:
        return {
            table: [
                path_of(address)
                for (address,) in database.execute(f"SELECT {column} FROM {table}")
                if address.startswith("file:")
            ]
            for table, column in ADDRESSES
        }


def content(home: Home) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}


def test_a_copied_home_has_its_own_files_and_the_original_is_not_touched(
    used: Home, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copied = Home(tmp_path / "copy of 100_percent")
    shutil.copytree(used.root, copied.root)
    before = content(used)
    with caplog.at_level(logging.WARNING):
        store = open_store(copied, {}, create=False)
    assert f"{copied.root} was moved or copied from {used.root}" in caplog.text
    found = addresses(copied)
    assert all(found[table] for table, _ in ADDRESSES)
    for path in itertools.chain(*found.values()):
        assert copied.artifacts in path.parents
    registry = Registry(store)
    champion = registry.by_alias("toy-cnn", CHAMPION)
    assert champion is not None
    new = log_run(store, b"written into the copy")
    Promoter(store, copied.state / "registry.lock").register(new, {})
    assert registry.model_file(champion, tmp_path).read_bytes() == b"weights"
    assert content(used) == before
    # Said once, and never of the original.
    caplog.clear()
    open_store(copied, {})
    open_store(used, {})
    assert caplog.text == ""


def test_a_home_behind_a_link_is_the_same_home(
    used: Home, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "link").symlink_to(used.root)
    before = addresses(used)
    open_store(Home(tmp_path / "link"), {})
    assert addresses(used) == before and caplog.text == ""


def test_addresses_that_are_in_no_home_stay(used: Home, tmp_path: Path) -> None:
    client = MlflowClient(used.database_uri)
    elsewhere = (tmp_path / "elsewhere").as_uri()
    theirs = client.create_experiment("theirs", artifact_location=elsewhere)
    bucket = client.create_experiment("bucket", artifact_location="s3://b/mlruns/artifacts/x")
    moved = Home(tmp_path / "moved")
    shutil.move(used.root, moved.root)
    client = MlflowClient(open_store(moved, {}).uri)
    assert client.get_experiment(theirs).artifact_location == elsewhere
    assert client.get_experiment(bucket).artifact_location == "s3://b/mlruns/artifacts/x"
    assert all(moved.artifacts in path.parents for path in addresses(moved)["runs"])


@pytest.mark.fault(fault="error", moment="addresses are rewritten", promises="I7")
def test_all_addresses_change_or_none(
    used: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = Home(tmp_path / "moved")
    shutil.move(used.root, moved.root)
    before = addresses(moved)
    monkeypatch.setattr("cnn_pipeline.tracking.moved.ADDRESSES", (*ADDRESSES, ("gone", "column")))
    with pytest.raises(Exception, match=r"no such table: gone.*doctor"):
        open_store(moved, {})
    assert addresses(moved) == before
    monkeypatch.undo()
    assert isinstance(open_store(moved, {}), Store)
