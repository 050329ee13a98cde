"""Changes of the champion's data are detected and announced once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.registry import CHAMPION, registered_name
from cnn_pipeline.champion.watching import Announcement, DataNews, compare_data
from cnn_pipeline.experiment.data_card import prepare_data
from cnn_pipeline.settings.trial import DataSettings
from cnn_pipeline.tracking import names

SAMPLE = DataSettings(source="fashion-mnist-sample")


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def crown(home: Home, digest: str, dataset: str = SAMPLE.source) -> None:
    """A champion by its tags alone."""
    client = MlflowClient(home.database_uri, home.database_uri)
    name = registered_name(dataset)
    client.create_registered_model(name)
    version = client.create_model_version(
        name,
        source=home.artifacts.as_uri(),
        tags={
            names.MODEL_ID: "m-1",
            names.MODEL_SHA256: "0" * 64,
            names.DATASET: dataset,
            names.DATA_DIGEST: digest,
            names.CLASS_NAMES: json.dumps(["a", "b"]),
            names.IMAGE_SHAPE: "28x28x1",
        },
    )
    client.set_registered_model_alias(name, CHAMPION, version.version)


def test_without_a_champion_nothing_has_changed(home: Home, tmp_path: Path) -> None:
    news = compare_data(SAMPLE, home, tmp_path)
    assert news.champion is None and not news.changed


def test_the_champions_own_data_are_no_news(home: Home, tmp_path: Path) -> None:
    crown(home, prepare_data(SAMPLE, tmp_path).digest)
    news = compare_data(SAMPLE, home, tmp_path)
    assert news.champion == "fashion-mnist-sample-cnn version 1"
    assert not news.changed


def test_other_data_are_news(home: Home, tmp_path: Path) -> None:
    crown(home, "1" * 64)
    news = compare_data(SAMPLE, home, tmp_path)
    assert news.changed and news.champion_digest == "1" * 64
    assert news.digest == prepare_data(SAMPLE, tmp_path).digest


def test_own_data_are_compared_as_they_were_prepared(home: Home, tmp_path: Path) -> None:
    """The name chooses the champion; preparation and share of the test decide the digest."""
    labels = np.tile(np.arange(3), 20)
    images = np.random.default_rng(0).integers(0, 256, (60, 9, 12), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", images=images, labels=labels)
    data = DataSettings(
        source=str(tmp_path / "own.npz"), name="pets", test_share=0.3, image_size="8x8"
    )
    crown(home, prepare_data(data, tmp_path).digest, "pets")

    assert compare_data(data, home, tmp_path).champion == "pets-cnn version 1"
    assert not compare_data(data, home, tmp_path).changed
    for other in ({"image_size": None}, {"test_share": 0.5}):
        assert compare_data(data.model_copy(update=other), home, tmp_path).changed
    assert compare_data(data.model_copy(update={"name": None}), home, tmp_path).champion is None


def test_an_announcement_is_kept_until_it_is_forgotten(home: Home) -> None:
    news = DataNews("own", "2" * 64, "own-cnn version 1", "1" * 64)
    assert Announcement.last(home, "own") is None
    told = Announcement.remember(home, news)
    assert Announcement.last(home, "own") == told
    assert told.digest == news.digest and told.at.endswith("+00:00")
    assert Announcement.last(home, "another") is None
    Announcement.forget(home, "own")
    Announcement.forget(home, "own")
    assert Announcement.last(home, "own") is None


def test_a_damaged_note_counts_as_none(home: Home) -> None:
    Announcement.remember(home, DataNews("own", "2" * 64, None, None))
    (home.state / "announced-data" / "own.json").write_text("{")
    assert Announcement.last(home, "own") is None
