"""Which logged model answers: a run, the best of a sweep, or the champion."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException

from cnn_pipeline.base.errors import UserError, did_you_mean
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.register import journal_of
from cnn_pipeline.champion.registry import Registry, registered_name
from cnn_pipeline.comparison.variants import best_trial
from cnn_pipeline.data.dataset import load_dataset
from cnn_pipeline.data.preparation import Preparation
from cnn_pipeline.explain.subject import Subject
from cnn_pipeline.network.load import load_verified
from cnn_pipeline.tracking.artifacts import reason
from cnn_pipeline.tracking.models import StoredModel, copy_model_file, stored_model
from cnn_pipeline.tracking.reader import Reader
from cnn_pipeline.tracking.store import Store, open_store

if TYPE_CHECKING:
    import keras

DEFAULT_MODEL = registered_name("fashion-mnist")


@dataclass(frozen=True)
class Choice:
    """The model that is to answer."""

    shown: str
    why: str
    dataset: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    preparation: Preparation
    load: Callable[[], keras.Model]


def choose(
    store: Store, home: Home, *, run_id: str | None, sweep_id: str | None, model: str | None
) -> Choice:
    """The model of a run, the best of a sweep, or the champion of a registered model.

    With none of them named, the champion of the last sweep's data set; without one, the best of
    that sweep.

    Raises:
        UserError: there is no such run, sweep or champion.
    """
    if run_id is not None:
        return _of_run(store, run_id, "the run asked for")
    if sweep_id is not None:
        return _of_run(store, best_run(sweep_id, home), f"the best of sweep {sweep_id}")
    name = model or _model_of_last_sweep(store)
    champion = _champion(Registry(store, journal_of(home, store)), name)
    if champion is not None:
        return champion
    if model is not None:
        raise UserError(
            f"there is no champion of {model} in {store.shown_uri}. Name one with `cnn-pipeline "
            "promote RUN --why TEXT`, or take the best model of a sweep of `cnn-pipeline list` "
            "with --sweep ID."
        )
    why = f"the best of the last sweep, as there is no champion of {name} yet"
    return _of_run(store, best_run(None, home), why)


def model_to_serve(registry: Registry) -> tuple[str, str]:
    """The registered model to serve where none was asked for, and why if it is not the usual one.

    Fashion-MNIST's; where that has no champion, the one of the last sweep's data set.

    Raises:
        StoreError: a champion was lost, or the store does not answer.
    """
    if registry.champion(DEFAULT_MODEL) is not None:
        return DEFAULT_MODEL, ""
    name = _model_of_last_sweep(registry.store)
    if name == DEFAULT_MODEL or registry.champion(name) is None:
        return name, ""
    return name, (
        f"serving {name}, the model of the last sweep's data: there is no champion of "
        f"{DEFAULT_MODEL}"
    )


def _model_of_last_sweep(store: Store) -> str:
    """Name of the registered model of its data set; of Fashion-MNIST's where there is no sweep."""
    try:
        return registered_name(Reader(store).sweep(None, ended=True).dataset)
    except UserError:
        return DEFAULT_MODEL


def _champion(registry: Registry, name: str) -> Choice | None:
    version = registry.champion(name)
    if version is None:
        return None

    def load() -> keras.Model:
        with tempfile.TemporaryDirectory() as folder:
            path = registry.model_file(version, Path(folder))
            return load_verified(path, version.sha256, f"the model {version.shown}")

    return Choice(
        shown=f"{version.shown} (run {version.run_id})",
        why="the champion",
        dataset=version.dataset,
        class_names=version.class_names,
        image_shape=version.image_shape,
        preparation=version.preparation,
        load=load,
    )


def _of_run(store: Store, run_id: str, why: str) -> Choice:
    stored = stored_model(store, run_id)
    return Choice(
        shown=f"{stored.run_name} ({stored.run_id})",
        why=why,
        dataset=stored.dataset,
        class_names=stored.class_names,
        image_shape=stored.image_shape,
        preparation=stored.preparation,
        load=lambda: load_model(store, stored),
    )


def best_run(sweep_id: str | None, home: Home) -> str:
    """Run id of a sweep's chosen variant, the seed with the best validation accuracy.

    Raises:
        UserError: there is no such sweep, or nothing in it finished.
    """
    reader = Reader(open_store(home, os.environ, create=False))
    record = reader.sweep(sweep_id, ended=sweep_id is None)
    best = best_trial(reader.trials(record), metric=record.sweep.measure)
    if best is None:
        raise UserError(
            f"sweep {record.sweep_id} has no finished trial to predict with. Run it again, or "
            "name a run with --run ID."
        )
    return best.run_id


def load_model(store: Store, stored: StoredModel) -> keras.Model:
    """The Keras model of a run, after its file has been compared with the recorded SHA-256.

    Raises:
        UserError: the file is missing or its bytes are not those that were logged.
    """
    name = f"the model of run {stored.run_name} ({stored.run_id})"
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = copy_model_file(store, stored.model_id, Path(folder))
        except (OSError, MlflowException) as error:
            raise UserError(
                f"{name} must be in the store, received: {reason(error)}. Train the variant again, "
                "or restore the artifacts from a backup."
            ) from None
        return load_verified(path, stored.sha256, name)


_RUN_ID = 32  # hexadecimal digits
_SHORTEST = 4


def find_subject(word: str | None, home: Home, cache: Path) -> Subject:
    """The run of that id, or of that run's or variant's name in the last sweep.

    Without a word it is the best run of the last sweep; a variant's name means its seed with the
    best validation accuracy.

    Raises:
        UserError: there is no such run, it has no model, or its data cannot be had.
    """
    reader = Reader(open_store(home, os.environ, create=False))
    run_id = best_run(None, home) if word is None else find_run(reader, word)
    stored = stored_model(reader.store, run_id)
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
        model=load_model(reader.store, stored),
        dataset=dataset,
        notes=tuple(notes),
    )


def find_run(reader: Reader, word: str) -> str:
    """Id of a trial's run.

    Args:
        reader: where to look.
        word: the id or at least four of its first digits, or the name of a run or variant of the
            last sweep; a variant's name means its seed with the best validation accuracy.

    Raises:
        UserError: there is no such run, or several ids begin so.
    """
    hexadecimal = set(word) <= set("0123456789abcdef")
    if len(word) == _RUN_ID and hexadecimal:
        return word
    record = reader.sweep(None)
    results = reader.trials(record)
    for result in results:
        if result.name == word:
            return result.run_id
    best = best_trial(results, label=word, metric=record.sweep.measure)
    if best is not None:
        return best.run_id
    found = reader.ids_from(word) if hexadecimal and len(word) >= _SHORTEST else []
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"RUN: must be one run, received {word!r}, and several ids begin so: "
            f"{', '.join(found)}. Give more digits."
        )
    names = list(dict.fromkeys([result.label for result in results]))
    hint = did_you_mean(word, [*names, *(result.name for result in results)])
    raise UserError(
        f"RUN: must be a run's id, or the name of a finished run or variant of the last sweep "
        f"({record.sweep_id}: {', '.join(names)}), received {word!r}{hint}"
    )
