"""Classify image files with a stored model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.find_model import choose
from cnn_pipeline.data.picture import PreparedImage, prepare_image
from cnn_pipeline.tracking.store import open_store

TOP = 3


@dataclass(frozen=True)
class Prediction:
    """The prediction for one file."""

    file: str
    model: str
    """The model: 'fashion-mnist-cnn version 3 (run ...)', or name and id of a run."""
    why: str
    """Why this model was chosen: 'the champion', 'the run asked for', ..."""
    notes: tuple[str, ...]
    """What was done to the picture to convert it to the model's input."""
    top: tuple[tuple[str, float], ...]
    """The most probable classes with their probabilities, highest first."""


@dataclass(frozen=True)
class Predictions:
    """The predictions for several files."""

    predictions: tuple[Prediction, ...]


def predict_files(
    files: Sequence[Path],
    home: Home,
    *,
    run_id: str | None = None,
    sweep_id: str | None = None,
    model: str | None = None,
) -> list[Prediction]:
    """Classify picture files with the model that `choose` finds.

    Raises:
        InvalidInput: files cannot be read; names all of them, before a model is loaded.
        UserError: there is no such model, or its file is not the logged one.
    """
    store = open_store(home, os.environ, create=False)
    choice = choose(store, home, run_id=run_id, sweep_id=sweep_id, model=model)
    prepared: list[PreparedImage] = []
    faults: list[str] = []
    for file in files:
        try:
            image = prepare_image(file, choice.image_shape, preparation=choice.preparation)
            prepared.append(image)
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


def _top(probabilities: np.ndarray, names: Sequence[str]) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-probabilities, kind="stable")[:TOP]
    return tuple((names[i], float(probabilities[i])) for i in order)
