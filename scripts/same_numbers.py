"""Train a fixed set of trials and print SHA-256 of the results, to show that a change moves none.

    .venv/bin/python scripts/same_numbers.py > before.txt
    .venv/bin/python scripts/same_numbers.py > after.txt       # with the change
    diff before.txt after.txt

Hashed are the weights of the logged model, every metric that is not a time, and the predictions on
the test images. Each line is for one trial, trained with one thread or two. Numbers are only equal
on one processor: another has other kernels.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import pandas as pd

from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.run import run_sweep
from cnn_pipeline.settings.sweep import Entry, Sweep
from cnn_pipeline.settings.trial import DataSettings, Training, Variant
from cnn_pipeline.tracking.models import copy_model_file, stored_model
from cnn_pipeline.tracking.store import open_store

# Label: what differs from 32 filters and two epochs, in the network and in its training.
TRIALS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "dropout": ({"dropout": 0.25}, {}),
    "batch-norm": ({"batch_norm": True}, {}),
    "bfloat16": ({}, {"precision": "bfloat16"}),
    "early-stop": ({}, {"epochs": 6, "stop_at_accuracy": 0.6}),
    "no-pooling": ({"pooling": "none", "filters": [8, 16]}, {}),
}
TIMES = ("seconds", "latency", "images_per_second", "time/")


def main() -> int:
    """Print one line for each number of threads, trial and kind of digest."""
    for threads in (1, 2):
        for name, digests in digests_of(fixed_sweep(threads)).items():
            for kind, digest in digests.items():
                print(f"threads {threads}  {name:<16} {kind:<13} {digest}", flush=True)
    return 0


def fixed_sweep(threads: int) -> Sweep:
    """The trials, on 4,000 training images."""
    return Sweep(
        name="same-numbers",
        entries=tuple(
            Entry(variant=Variant(**{"filters": 32, **variant}), label=label, training=training)
            for label, (variant, training) in TRIALS.items()
        ),
        training=Training(epochs=2, precision="float32", threads=threads),
        data=DataSettings(source="fashion-mnist", train_limit=4000, validation_size=1000),
        baseline="plain",
    )


def digests_of(sweep: Sweep) -> dict[str, dict[str, str]]:
    """Train a sweep in an empty home.

    Returns:
        For each trial the SHA-256 of its weights, metrics and predictions, and its test accuracy.

    Raises:
        SystemExit: a trial did not finish.
    """
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = Home(folder)
        results = run_sweep(sweep, home, workers=1).results
        store = open_store(home, os.environ)
        for result in results:
            if not result.finished:
                raise SystemExit(f"error: {result.name} did not finish: {result.reason}")
            stored = stored_model(store, result.run_id)
            model = copy_model_file(store, stored.model_id, folder)
            (predictions,) = (
                path for path in folder.rglob("predictions.parquet") if result.run_id in str(path)
            )
            found[result.name] = {
                "weights": weights_digest(model),
                "metrics": metrics_digest(result.metrics),
                "predictions": _sha256(pd.read_parquet(predictions).to_csv()),
                "test_accuracy": repr(result.metrics["test_accuracy"]),
            }
    return found


def weights_digest(model: Path) -> str:
    """SHA-256 over names and bytes of the arrays in a .keras file, without the optimizer's."""
    digest = hashlib.sha256()

    def add(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and "optimizer" not in name:
            digest.update(name.encode() + item[()].tobytes())

    with (
        zipfile.ZipFile(model) as archive,
        archive.open("model.weights.h5") as file,
        h5py.File(file) as tree,
    ):
        tree.visititems(add)
    return digest.hexdigest()


def metrics_digest(metrics: Mapping[str, float]) -> str:
    """SHA-256 over all metrics that two equal trainings share: no times, no size of a file."""
    kept = {
        name: value
        for name, value in sorted(metrics.items())
        if name != "model_bytes" and not any(word in name for word in TIMES)
    }
    return _sha256(json.dumps(kept))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
