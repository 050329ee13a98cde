"""Using a logged model: load it after its bytes are verified, classify image files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from mlflow.exceptions import MlflowException

from cnn_pipeline.errors import InvalidInput, UserError
from cnn_pipeline.experiment import load_comparison
from cnn_pipeline.images import PreparedImage, convention_for, prepare_image
from cnn_pipeline.loading import load_verified
from cnn_pipeline.paths import Home
from cnn_pipeline.registry import CHAMPION, Registry, registered_name
from cnn_pipeline.tracking import Reader, Store, StoredModel, open_store

if TYPE_CHECKING:
    import keras

TOP = 3
DEFAULT_MODEL = registered_name("fashion-mnist")


@dataclass(frozen=True)
class Prediction:
    """What a model says of one file."""

    file: str
    model: str
    """Which model answered: 'fashion-mnist-cnn version 3 (run ...)', or name and id of a run."""
    why: str
    """Why that one: 'the champion', 'the run asked for', ..."""
    notes: tuple[str, ...]
    """What was done to the picture to make it the model's input."""
    top: tuple[tuple[str, float], ...]
    """The most probable classes with their probabilities, most probable first."""


@dataclass(frozen=True)
class Choice:
    """The model that is to answer."""

    shown: str
    why: str
    dataset: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    load: Callable[[], keras.Model]


def predict_files(
    files: Sequence[Path],
    home: Home,
    *,
    run_id: str | None = None,
    sweep_id: str | None = None,
    model: str | None = None,
) -> list[Prediction]:
    """Classify PNG or JPEG files with the model that `choose` names.

    Raises:
        InvalidInput: a file is no readable picture; all are named, before a model is loaded.
        UserError: there is no such model, or its file is not what was logged.
    """
    store = open_store(home, os.environ, create=False)
    choice = choose(store, home, run_id=run_id, sweep_id=sweep_id, model=model)
    convention = convention_for(choice.dataset)
    prepared: list[PreparedImage] = []
    faults: list[str] = []
    for file in files:
        try:
            prepared.append(prepare_image(file, choice.image_shape, convention=convention))
        except InvalidInput as error:
            faults += error.faults
    if faults:
        raise InvalidInput(faults)
    network = choice.load()
    probabilities = network.predict_on_batch(np.stack([image.pixels for image in prepared]))
    return [
        Prediction(
            file=str(file),
            model=choice.shown,
            why=choice.why,
            notes=image.steps,
            top=_top(row, choice.class_names),
        )
        for file, image, row in zip(files, prepared, probabilities, strict=True)
    ]


def choose(
    store: Store, home: Home, *, run_id: str | None, sweep_id: str | None, model: str | None
) -> Choice:
    """The model of a run, the best of a sweep, or the champion of a registered model.

    With none of them named, the champion of `DEFAULT_MODEL`; without one, the best of the last
    sweep.

    Raises:
        UserError: there is no such run, sweep or champion.
    """
    if run_id is not None:
        return _of_run(store, run_id, "the run asked for")
    if sweep_id is not None:
        return _of_run(store, best_run(sweep_id, home), f"the best of sweep {sweep_id}")
    champion = _champion(store, model or DEFAULT_MODEL)
    if champion is not None:
        return champion
    if model is not None:
        raise UserError(
            f"there is no champion of {model} in {store.shown_uri}. Name one with `cnn-pipeline "
            "promote RUN --why TEXT`, or take a run's model with --run ID."
        )
    why = f"the best of the last sweep, as there is no champion of {DEFAULT_MODEL} yet"
    return _of_run(store, best_run(None, home), why)


def _champion(store: Store, name: str) -> Choice | None:
    registry = Registry(store)
    version = registry.by_alias(name, CHAMPION)
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
        load=load,
    )


def _of_run(store: Store, run_id: str, why: str) -> Choice:
    reader = Reader(store)
    stored = reader.model(run_id)
    return Choice(
        shown=f"{stored.run_name} ({stored.run_id})",
        why=why,
        dataset=stored.dataset,
        class_names=stored.class_names,
        image_shape=stored.image_shape,
        load=lambda: load_model(reader, stored),
    )


def best_run(sweep_id: str | None, home: Home) -> str:
    """Run id of a sweep's chosen variant, the seed with the best validation accuracy.

    Raises:
        UserError: there is no such sweep, or nothing in it finished.
    """
    reader = Reader(open_store(home, os.environ, create=False))
    record = reader.sweep(sweep_id)
    chosen = load_comparison(record.sweep_id, home).verdict.chosen
    candidates = [result for result in reader.trials(record) if result.label == chosen]
    scored = [
        (accuracy, result.run_id)
        for result in candidates
        if result.finished and (accuracy := result.metric("val_accuracy_final")) is not None
    ]
    if not scored:
        raise UserError(
            f"sweep {record.sweep_id} has no finished trial to predict with. Run it again, or "
            "name a run with --run ID."
        )
    return max(scored, key=lambda item: item[0])[1]


def load_model(reader: Reader, stored: StoredModel) -> keras.Model:
    """The Keras model of a run, after its file has been compared with the recorded SHA-256.

    Raises:
        UserError: the file is missing or its bytes are not those that were logged.
    """
    name = f"the model of run {stored.run_name} ({stored.run_id})"
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = reader.model_file(stored, Path(folder))
        except (OSError, MlflowException) as error:
            received = " ".join(str(error).split())
            raise UserError(
                f"{name} must be in the store, received: {received}. Train the variant again, or "
                "restore the artifacts from a backup."
            ) from None
        return load_verified(path, stored.sha256, name)


def _top(probabilities: np.ndarray, names: Sequence[str]) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-probabilities, kind="stable")[:TOP]
    return tuple((names[i], float(probabilities[i])) for i in order)
