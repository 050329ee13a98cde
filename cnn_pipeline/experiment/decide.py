"""What need not be trained again: trials of equal content whose stored record is still whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cnn_pipeline.base import events
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home
from cnn_pipeline.experiment import stored
from cnn_pipeline.experiment.content_key import content_key
from cnn_pipeline.experiment.data_card import DataCard
from cnn_pipeline.experiment.sweep_run import Outcome
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.sweep import Sweep

if TYPE_CHECKING:
    from cnn_pipeline.tracking.reader import Reader


def find_unchanged(sweep: Sweep, card: DataCard, home: Home, threads: int) -> Outcome | None:
    """The outcome of the newest equal sweep, where training it again would give the same.

    Every trial must have finished with the content that it would have now, and be verified. What
    keeps one from being reused is told by `find_reusable`, which is asked next.
    """
    where = _stored(card, home)
    if where is None:
        return None
    reader, experiment_id = where
    record = reader.same_sweep(experiment_id, sweep)
    if record is None:
        return None
    keys = _keys(sweep, card, threads)
    found = {result.name: result for result in reader.trials(record)}
    same = found.keys() == keys.keys() and all(
        result.finished and result.content_key == keys[name] for name, result in found.items()
    )
    from cnn_pipeline.tracking.verify import faults

    if not same or any(faults(reader, result) for result in found.values()):
        return None
    return stored.outcome_of(reader, record)


def find_reusable(sweep: Sweep, card: DataCard, home: Home, threads: int) -> dict[str, TrialResult]:
    """By name of the trial, the newest finished trial of equal content that was verified."""
    where = _stored(card, home)
    if where is None:
        return {}
    reader, experiment_id = where
    found = {
        name: next(
            (one for one in reader.with_content(experiment_id, key) if _whole(reader, one)), None
        )
        for name, key in _keys(sweep, card, threads).items()
    }
    return {name: result for name, result in found.items() if result is not None}


def _keys(sweep: Sweep, card: DataCard, threads: int) -> dict[str, str]:
    return {
        trial.name: content_key(trial, sweep.data, card.digest, threads) for trial in sweep.trials()
    }


def _stored(card: DataCard, home: Home) -> tuple[Reader, str] | None:
    """A reader and the experiment's id; None where nothing has been stored yet."""
    if not os.environ.get(TRACKING_VARIABLE) and not home.database.exists():
        return None
    from cnn_pipeline.tracking.names import experiment_name
    from cnn_pipeline.tracking.reader import Reader
    from cnn_pipeline.tracking.store import open_store

    reader = Reader(open_store(home, os.environ))
    experiment_id = reader.experiment(experiment_name(card.name))
    return None if experiment_id is None else (reader, experiment_id)


def _whole(reader: Reader, result: TrialResult) -> bool:
    from cnn_pipeline.tracking.verify import faults

    found = faults(reader, result)
    if found:
        events.emit(
            events.Stage(f"{result.name}: run {result.run_id} is not reused: {'; '.join(found)}")
        )
    return not found
