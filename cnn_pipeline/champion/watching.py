"""Check whether the data have changed since the champion was trained."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from cnn_pipeline.base.files import make_private, read_file, write_whole
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.register import open_registry
from cnn_pipeline.champion.registry import registered_name
from cnn_pipeline.experiment.data_card import prepare_data
from cnn_pipeline.settings.trial import DataSettings


@dataclass(frozen=True)
class DataNews:
    """The digest of the data now, and of the champion's data."""

    dataset: str
    digest: str
    champion: str | None
    """Name and version, as 'fashion-mnist-cnn version 3'; None if there is no champion."""
    champion_digest: str | None

    @property
    def changed(self) -> bool:
        """Whether the champion was trained on other data."""
        return self.champion_digest is not None and self.champion_digest != self.digest


def compare_data(settings: DataSettings, home: Home, cache: Path) -> DataNews:
    """Read the data, fetched if necessary, and compare their digest with the champion's.

    Raises:
        InvalidInput: files of the user's own data are bad.
        DataError: the files cannot be fetched.
        StoreError: the store does not answer.
    """
    card = prepare_data(settings, cache)
    name = registered_name(card.name)
    champion = open_registry(home, create=True).champion(name)
    return DataNews(
        dataset=card.name,
        digest=card.digest,
        champion=None if champion is None else f"{name} version {champion.version}",
        champion_digest=None if champion is None else champion.data_digest,
    )


@dataclass(frozen=True)
class Announcement:
    """Record of a change that was announced, so that it is announced only once.

    Announced every hour, it would start a training every hour until the gate accepts one.
    """

    digest: str
    at: str
    """UTC, ISO 8601."""

    @classmethod
    def last(cls, home: Home, dataset: str) -> Announcement | None:
        """The last announcement for a data set; None if there is none, or it cannot be read."""
        try:
            return cls(**json.loads(read_file(_file(home, dataset))))
        except (OSError, ValueError, TypeError):
            return None

    @classmethod
    def remember(cls, home: Home, news: DataNews) -> Announcement:
        """Record that a change is announced now."""
        now = datetime.datetime.now(datetime.UTC)
        made = cls(news.digest, now.isoformat(timespec="seconds"))
        path = _file(home, news.dataset)
        make_private(path.parent)
        write_whole(path, json.dumps(asdict(made)))
        return made

    @staticmethod
    def forget(home: Home, dataset: str) -> None:
        """Delete the record: the data are the champion's, so the next change must be announced."""
        _file(home, dataset).unlink(missing_ok=True)


def _file(home: Home, dataset: str) -> Path:
    return home.state / "announced-data" / f"{dataset}.json"
