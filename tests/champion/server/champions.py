"""Registered versions of tiny networks, drawn and not trained, for the tests of serving."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.files import sha256_of
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.registry import CHAMPION, registered_name
from cnn_pipeline.data.catalog import FASHION_CLASSES
from cnn_pipeline.data.preparation import Preparation
from cnn_pipeline.network.build import build_model
from cnn_pipeline.settings.trial import Training, Trial, Variant
from cnn_pipeline.tracking.models import log_model
from cnn_pipeline.tracking.names import experiment_name
from cnn_pipeline.tracking.store import Store
from cnn_pipeline.tracking.undocumented import as_default
from cnn_pipeline.tracking.writer import Tracker

NAME = registered_name("fashion-mnist")
CLASSES = FASHION_CLASSES
SHAPE = (28, 28, 1)


@dataclass(frozen=True, eq=False)
class Registered:
    """A version, and the network that it must answer as."""

    number: int
    run_id: str
    model_id: str
    network: keras.Model
    file: Path

    def answers(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities `[n, 10]` for uint8 `[n, 28, 28, 1]`."""
        return np.asarray(self.network.predict_on_batch(pixels))

    def damage(self) -> None:
        """Flip one bit of its file."""
        content = bytearray(self.file.read_bytes())
        content[len(content) // 2] ^= 1
        self.file.write_bytes(content)


def register(
    home: Home,
    seed: int,
    *,
    network: keras.Model | None = None,
    preparation: Preparation | None = None,
) -> Registered:
    """A new version of `NAME`, with the tags that a promotion writes; no alias names it yet.

    Without a preparation it is as an earlier version of this package wrote it.
    """
    trial = Trial(
        variant=Variant(filters=2, dense_units=8), training=Training(), seed=seed, label="tiny"
    )
    network = network or build_model(trial.variant, SHAPE, len(CLASSES), seed=seed)
    tracker = Tracker(Store(home.database_uri, home.artifacts_uri))
    client = MlflowClient(home.database_uri, registry_uri=home.database_uri)
    tags = {
        "dataset": "fashion-mnist",
        "data_digest": "0" * 64,
        "class_names": json.dumps(CLASSES),
        "image_shape": "28x28x1",
    }
    if preparation is not None:
        tags["preparation"] = preparation.to_tag()
    experiment = tracker.experiment(experiment_name("fashion-mnist"))
    run_id = tracker.start_trial(experiment, "", "tiny-sweep", trial, tags)
    record = log_model(tracker.store, run_id, network, {}, {})
    tags |= {"model_sha256": record.sha256, "model_id": record.model_id, "run_name": trial.name}
    tracker.tag(run_id, tags)
    if not client.search_registered_models(f"name = '{NAME}'"):
        client.create_registered_model(NAME)
    with as_default(home.database_uri):
        version = client.create_model_version(
            NAME, f"models:/{record.model_id}", run_id, tags=tags, model_id=record.model_id
        )
    (file,) = home.artifacts.rglob(f"{record.model_id}/**/model.keras")
    assert sha256_of(file) == record.sha256
    return Registered(int(version.version), run_id, record.model_id, network, file)


def crown(home: Home, number: int) -> None:
    """Move the alias 'champion' to a version."""
    client = MlflowClient(home.database_uri, registry_uri=home.database_uri)
    client.set_registered_model_alias(NAME, CHAMPION, str(number))
