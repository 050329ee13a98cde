"""Fit the constants of `plans.estimate_seconds` to the finished trials of home folders.

    .venv/bin/cnn-pipeline run && .venv/bin/cnn-pipeline run --epochs 1 --train-limit 2000
    .venv/bin/python benchmarks/estimate_fit.py [HOME...]

Prints the constants, and measured beside estimated seconds for each kind of trial: of trials of
one variant on as many images the median counts.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from mlflow.tracking import MlflowClient
from scipy.optimize import nnls

from cnn_pipeline.base.home import resolve_home
from cnn_pipeline.network.plan import Plan, plan_layers
from cnn_pipeline.settings.trial import Trial
from cnn_pipeline.tracking.store import open_store

IMAGE_SHAPE, CLASSES = (28, 28, 1), 10
NUM_TEST = 10_000
CONSTANTS = ("TRIAL", "IMAGE", "MAC")


def main() -> None:
    """Read the runs, fit by non-negative least squares on relative errors, print."""
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    plans: dict[str, Plan] = {}
    for home in sys.argv[1:] or [None]:
        for label, plan, images, seconds in finished(home):
            plans[label] = plan
            found[label, images].append(seconds)
    rows = [
        [1.0, images, (images + NUM_TEST) * plan.macs]
        for plan, images in ((plans[label], images) for label, images in found)
    ]
    design, measured = np.array(rows), np.array([median(taken) for taken in found.values()])
    constants, _ = nnls(design / measured[:, None], np.ones(len(measured)))
    for name, value in zip(CONSTANTS, constants, strict=True):
        print(f"_SECONDS_PER_{name} = {value:.2g}")
    for (label, images), real, guess in zip(found, measured, design @ constants, strict=True):
        print(
            f"{label:50} {images:9,} images, measured {real:6.1f} s, estimated {guess:6.1f} s, "
            f"{len(found[label, images])} trials"
        )


def finished(home: str | None) -> Iterator[tuple[str, Plan, int, float]]:
    """Of each finished trial: variant and precision, plan, images times epochs, seconds."""
    client = MlflowClient(open_store(resolve_home(home, os.environ), os.environ, create=False).uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    for run in client.search_runs(experiments, "tags.complete = 'true' and tags.kind = 'trial'"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(client.download_artifacts(run.info.run_id, "config.json", folder))
            trial = Trial.model_validate(json.loads(path.read_text("utf-8"))["trial"])
        plan = plan_layers(trial.variant, IMAGE_SHAPE, CLASSES)
        yield (
            f"{trial.label} {run.data.params['precision']} ({plan.architecture})",
            plan,
            int(run.data.params["train_samples"]) * trial.training.epochs,
            (run.info.end_time - run.info.start_time) / 1000,
        )


if __name__ == "__main__":
    main()
