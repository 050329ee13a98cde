"""Two different folders of one name never share an experiment."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.data_card import DataCard
from cnn_pipeline.experiment.own_name import claim_name, refuse_other_data, refuse_used_name
from cnn_pipeline.settings.trial import DataSettings
from cnn_pipeline.tracking.names import experiment_name
from cnn_pipeline.tracking.store import open_store
from cnn_pipeline.tracking.writer import Tracker


def card(path: Path, digest: str = "d1", name: str = "photos") -> DataCard:
    path.mkdir(parents=True, exist_ok=True)
    return DataCard(
        name, digest, "s", (2, 2, 1), ("a", "b"), 9, 2, 2, (5, 6), (1, 1), (), path=str(path)
    )


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def used(data: DataCard, home: Home) -> None:
    """Check the data and begin a sweep on them."""
    refuse_other_data(data, home)
    tracker = Tracker(open_store(home, os.environ))
    claim_name(tracker, tracker.experiment(experiment_name(data.name)), data)


def test_a_used_name_is_refused_with_both_paths(home: Home, tmp_path: Path) -> None:
    first, second = card(tmp_path / "a" / "photos"), card(tmp_path / "b" / "photos", "d2")
    used(first, home)
    used(replace(first, digest="d3"), home)  # the same folder, with more images

    with pytest.raises(InvalidInput) as caught:
        refuse_other_data(second, home)

    (fault,) = caught.value.faults
    assert fault.startswith(f"{second.path}: the name photos must be another, received that of")
    assert f" {first.path}, which are still there" in fault
    assert "--name photos-2" in fault
    used(replace(second, name="photos-2"), home)


def test_a_copy_is_the_same_data(home: Home, tmp_path: Path) -> None:
    first = card(tmp_path / "a" / "photos")
    used(first, home)

    used(card(tmp_path / "b" / "photos"), home)

    used(replace(first, digest="d2"), home)  # the name stays the first one's


def test_data_that_were_moved_keep_their_name(home: Home, tmp_path: Path) -> None:
    used(card(tmp_path / "a" / "photos"), home)
    shutil.rmtree(tmp_path / "a")
    used(card(tmp_path / "b" / "photos", "d2"), home)

    with pytest.raises(InvalidInput):
        refuse_other_data(card(tmp_path / "a" / "photos"), home)


def test_named_data_sets_have_no_path(home: Home, tmp_path: Path) -> None:
    used(card(tmp_path / "a"), home)

    refuse_other_data(replace(card(tmp_path / "b", "d2"), path=""), home)


def test_a_used_name_is_refused_before_pictures_are_read(home: Home, tmp_path: Path) -> None:
    for folder, content in (("a", b"one"), ("b", b"other"), ("copy", b"one")):
        (tmp_path / folder / "photos").mkdir(parents=True)
        (tmp_path / folder / "photos" / "1.png").write_bytes(content)
    used(card(tmp_path / "a" / "photos"), home)

    for source, name in (("a", None), ("copy", None), ("b", "b-photos")):
        refuse_used_name(DataSettings(source=str(tmp_path / source / "photos"), name=name), home)
    with pytest.raises(InvalidInput, match="the name photos must be another") as caught:
        refuse_used_name(DataSettings(source=str(tmp_path / "b" / "photos")), home)
    assert str(tmp_path / "a" / "photos") in caught.value.faults[0]
