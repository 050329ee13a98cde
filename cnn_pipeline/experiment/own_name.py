"""One experiment holds the runs on one data set: own data of a used name are refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.data_card import DataCard
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
    raise InvalidInput(
        [
            f"{card.path}: the name {card.name} must be another, received that of the data in "
            f"{tags[names.DATA_PATH]}, which are still there; name these data, as --name "
            f"{card.name}-2, or, where they replace the others, move the others away"
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
