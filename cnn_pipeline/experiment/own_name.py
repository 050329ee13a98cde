"""One experiment holds the runs on one data set: own data of a used name are refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.data_card import DataCard
from cnn_pipeline.settings.trial import DataSettings
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.store import open_store, store_exists

if TYPE_CHECKING:
    from cnn_pipeline.tracking.writer import Tracker


def refuse_other_data(card: DataCard, home: Home) -> None:
    """Refuse own data whose experiment, and so whose registered model, belongs to other data.

    Raises:
        InvalidInput: with both paths.
    """
    if not card.path or not store_exists(home, os.environ):
        return
    from cnn_pipeline.tracking.reader import Reader

    reader = Reader(open_store(home, os.environ))
    tags = reader.experiment_tags(names.experiment_name(card.name))
    if _belongs(card, tags) or tags.get(names.DATA_DIGEST) == card.digest:
        return
    raise _used(card.path, card.name, tags[names.DATA_PATH])


def refuse_used_name(settings: DataSettings, home: Home) -> None:
    """Refuse a folder of a used name before its pictures are read, which may take minutes.

    A copy may have the name of the first. So a folder whose pictures have the sizes of the other's
    is left to `refuse_other_data`, which knows their content.

    Raises:
        InvalidInput: with both paths.
    """
    from cnn_pipeline.data.catalog import CATALOGS
    from cnn_pipeline.data.formats.local import data_set_name, local_path

    path = local_path(settings.source)
    if settings.source in CATALOGS or not path.is_dir() or not store_exists(home, os.environ):
        return
    from cnn_pipeline.tracking.reader import Reader

    name = settings.name or data_set_name(path)
    reader = Reader(open_store(home, os.environ))
    owner = reader.experiment_tags(names.experiment_name(name)).get(names.DATA_PATH, str(path))
    if owner != str(path) and Path(owner).is_dir() and _sizes(Path(owner)) != _sizes(path):
        raise _used(str(path), name, owner)


def _sizes(folder: Path) -> list[int]:
    """Bytes of the picture files below a folder, sorted."""
    from cnn_pipeline.data.formats.listing import is_picture

    return sorted(
        path.stat().st_size for path in folder.rglob("*") if is_picture(path) and path.is_file()
    )


def _used(path: str, name: str, owner: str) -> InvalidInput:
    return InvalidInput(
        [
            f"{path}: the name {name} must be another, received that of the data in {owner}, which "
            f"are still there; name these data, as --name {name}-2, or, where they replace the "
            "others, move the others away"
        ]
    )


def claim_name(tracker: Tracker, experiment_id: str, card: DataCard) -> None:
    """Record on the experiment which data it holds the runs on, unless it belongs to a copy."""
    if card.path and _belongs(card, tracker.experiment_tags(experiment_id)):
        tracker.tag_experiment(
            experiment_id, {names.DATA_PATH: card.path, names.DATA_DIGEST: card.digest}
        )


def _belongs(card: DataCard, tags: Mapping[str, str]) -> bool:
    """Whether an experiment is that of these data. Data that are gone were moved or replaced."""
    owner = tags.get(names.DATA_PATH)
    return owner is None or owner == card.path or not Path(owner).exists()
