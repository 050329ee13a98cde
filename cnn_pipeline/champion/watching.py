"""Whether the data are still those that the champion was trained on."""

from __future__ import annotations

import datetime
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from cnn_pipeline.base.files import write_whole
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.registry import CHAMPION, Registry, registered_name
from cnn_pipeline.experiment.data_card import prepare_data
from cnn_pipeline.settings.trial import DataSettings
from cnn_pipeline.tracking.store import open_store


@dataclass(frozen=True)
class DataNews:
    """The data as they are now, against the champion's."""

    dataset: str
    digest: str
    champion: str | None
    """Name and version, 'fashion-mnist-cnn version 3'; None where there is no champion."""
    champion_digest: str | None

    @property
    def changed(self) -> bool:
        """Whether the champion was trained on other data."""
        return self.champion_digest is not None and self.champion_digest != self.digest


def compare_data(settings: DataSettings, home: Home, cache: Path) -> DataNews:
    """Read the data, fetched where need be, and hold their digest against the champion's.

    Raises:
        InvalidInput: bad files in the user's own data.
        DataError: the files cannot be had.
        StoreError: the store does not answer.
    """
    card = prepare_data(settings, cache)
    name = registered_name(card.name)
    champion = Registry(open_store(home, os.environ)).by_alias(name, CHAMPION)
    return DataNews(
        dataset=card.name,
        digest=card.digest,
        champion=None if champion is None else f"{name} version {champion.version}",
        champion_digest=None if champion is None else champion.data_digest,
    )


@dataclass(frozen=True)
class Announcement:
    """A change that was told once. Told each hour, it would start a training each hour for as
    long as the gate refuses what comes out."""

    digest: str
    at: str
    """UTC, ISO 8601."""

    @classmethod
    def last(cls, home: Home, dataset: str) -> Announcement | None:
        """What was told last of a data set; None where nothing was, or it cannot be read."""
        try:
            return cls(**json.loads(_file(home, dataset).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    @classmethod
    def remember(cls, home: Home, news: DataNews) -> Announcement:
        """Write down that a change was told now."""
        now = datetime.datetime.now(datetime.UTC)
        made = cls(news.digest, now.isoformat(timespec="seconds"))
        path = _file(home, news.dataset)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(asdict(made)))
        return made

    @staticmethod
    def forget(home: Home, dataset: str) -> None:
        """The data are the champion's: the next change is news again."""
        _file(home, dataset).unlink(missing_ok=True)


def _file(home: Home, dataset: str) -> Path:
    return home.state / "announced-data" / f"{dataset}.json"
