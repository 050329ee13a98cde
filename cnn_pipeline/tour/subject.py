"""Which run is explained, with its model and its data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_pipeline.config import Variant
from cnn_pipeline.data import Dataset, load_dataset
from cnn_pipeline.errors import UserError
from cnn_pipeline.hints import did_you_mean
from cnn_pipeline.paths import Home
from cnn_pipeline.serving import best_run, load_model
from cnn_pipeline.tracking import Reader, open_store

if TYPE_CHECKING:
    import keras

_RUN_ID = 32  # hexadecimal digits


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained network with the images that it was trained, chosen and scored on."""

    name: str
    """The run's name, as 'f64-max-s0'."""
    run_id: str
    variant: Variant
    model: keras.Sequential
    dataset: Dataset
    notes: tuple[str, ...] = ()
    """What one must know before believing the numbers."""


def find_subject(word: str | None, home: Home, cache: Path) -> Subject:
    """The run of that id, or of that run's or variant's name in the last sweep.

    Without a word it is the best run of the last sweep; a variant's name means its seed with the
    best validation accuracy.

    Raises:
        UserError: there is no such run, it has no model, or its data cannot be had.
    """
    reader = Reader(open_store(home, os.environ, create=False))
    run_id = best_run(None, home) if word is None else _find(reader, word)
    stored = reader.model(run_id)
    dataset = load_dataset(reader.data_settings(run_id), cache)
    notes = []
    if dataset.digest != stored.data_digest:
        notes.append(
            f"The data are not those that {stored.run_name} was trained on: their digest was "
            f"{stored.data_digest[:12]} and is {dataset.digest[:12]}."
        )
    return Subject(
        name=stored.run_name,
        run_id=run_id,
        variant=reader.trial(run_id).variant,
        model=load_model(reader, stored),
        dataset=dataset,
        notes=tuple(notes),
    )


def _find(reader: Reader, word: str) -> str:
    if len(word) == _RUN_ID and set(word) <= set("0123456789abcdef"):
        return word
    record = reader.sweep(None)
    results = reader.trials(record)
    for result in results:
        if result.name == word:
            return result.run_id
    finished = [result for result in results if result.label == word and result.finished]
    if finished:
        best = max(finished, key=lambda result: result.metric("val_accuracy_final") or 0.0)
        return best.run_id
    names = list(dict.fromkeys([result.label for result in results]))
    hint = did_you_mean(word, [*names, *(result.name for result in results)])
    raise UserError(
        f"RUN: must be a run's id, or the name of a finished run or variant of the last sweep "
        f"({record.sweep_id}: {', '.join(names)}), received {word!r}{hint}"
    )
