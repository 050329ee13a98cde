"""Train a fixed set of trials and print SHA-256 of the results, to show that a change moves none.

    .venv/bin/python scripts/same_numbers.py > before.txt
    .venv/bin/python scripts/same_numbers.py > after.txt       # with the change
    diff before.txt after.txt

    make numbers                      # compare with the digits of an older commit
    make numbers ARGS=--write         # store new ones, after a change that must move numbers

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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import pandas as pd

from cnn_pipeline.base.files import write_whole
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home
from cnn_pipeline.base.machine import processor_name
from cnn_pipeline.base.versions import git_state, numeric_packages, versions
from cnn_pipeline.experiment.run import run_sweep
from cnn_pipeline.network.device import vector_instructions
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
THREADS = (1, 2)
STORED = Path(__file__).parent.parent / "tests" / "reference" / "numbers.json"
TIMES = ("seconds", "latency", "images_per_second", "time/")


def main(words: list[str]) -> int:
    """Print one line for each number of threads, trial and kind of digest; or compare or store."""
    if words == ["--check"]:
        return check(json.loads(STORED.read_text(encoding="utf-8")))
    found = {}
    for line, digest in digests():
        print(f"{line:<40} {digest}", flush=True)
        found[line] = digest
    if words == ["--write"]:
        stored = {"commit": git_state().commit, "machine": machine(), "digests": found}
        write_whole(STORED, json.dumps(stored, indent=2) + "\n")
        print(f"wrote {STORED}")
    return 0


def check(stored: Mapping[str, Any]) -> int:
    """Compare with stored digests where machine and libraries are the same; 1 if a number moved."""
    if others := other_machine(stored["machine"], machine()):
        print("not compared, because numbers are only equal on one kind of machine:")
        print("\n".join(others))
        return 0
    moved = [line for line, digest in digests() if stored["digests"].get(line) != digest]
    for line in moved:
        print(f"moved since commit {stored['commit'][:12]}: {line}")
    if not moved:
        print(f"all {len(stored['digests'])} digests are those of commit {stored['commit'][:12]}")
    return 1 if moved else 0


def other_machine(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What numbers depend on and is not as it was, a line each."""
    return [
        f"{name}: {then.get(name, 'none')} then, {now.get(name, 'none')} now"
        for name in dict.fromkeys([*then, *now])
        if then.get(name) != now.get(name)
    ]


def machine() -> dict[str, str]:
    """What the numbers of these trials depend on, beside the code."""
    known = versions()
    return {
        "processor": processor_name(),
        "instructions": " ".join(vector_instructions()),
        **{name: known.get(name, "not installed") for name in sorted(numeric_packages())},
    }


def digests() -> Iterator[tuple[str, str]]:
    """Train all trials. Yields what is hashed, as 'threads 1 plain-s0 weights', and its hash."""
    for threads in THREADS:
        for name, kinds in digests_of(fixed_sweep(threads)).items():
            for kind, digest in kinds.items():
                yield f"threads {threads} {name} {kind}", digest


def fixed_sweep(threads: int) -> Sweep:
    """The trials, on 4,000 training images."""
    return Sweep(
        name="same-numbers",
        seeds=(0,),
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
        os.environ.pop(TRACKING_VARIABLE, None)  # a server has no place for these
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
    sys.exit(main(sys.argv[1:]))
