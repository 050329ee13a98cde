"""Fit the constants of `plans.estimate_seconds` to the finished trials of a home folder.

    .venv/bin/cnn-pipeline run && .venv/bin/cnn-pipeline run --sweep pooling
    .venv/bin/python benchmarks/estimate_fit.py [HOME]

Prints the four constants, and measured beside estimated seconds for each trial.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from mlflow.tracking import MlflowClient
from scipy.optimize import nnls

from cnn_pipeline.config import Trial
from cnn_pipeline.paths import resolve_home
from cnn_pipeline.plans import plan_layers
from cnn_pipeline.tracking import open_store

IMAGE_SHAPE, CLASSES = (28, 28, 1), 10


def main() -> None:
    """Read the runs, fit by non-negative least squares on relative errors, print."""
    home = resolve_home(sys.argv[1] if len(sys.argv) > 1 else None, os.environ)
    client = MlflowClient(open_store(home, os.environ, create=False).uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, "tags.complete = 'true' and tags.kind = 'trial'")
    rows, seconds, labels = [], [], []
    for run in runs:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(client.download_artifacts(run.info.run_id, "config.json", folder))
            trial = Trial.model_validate(json.loads(path.read_text("utf-8"))["trial"])
        plan = plan_layers(trial.variant, IMAGE_SHAPE, CLASSES)
        images = int(run.data.params["train_samples"]) * trial.training.epochs
        rows.append([1.0, images, images * plan.macs, images * plan.activations])
        seconds.append((run.info.end_time - run.info.start_time) / 1000)
        labels.append(f"{run.info.run_name} {run.data.params['precision']}")
    design, measured = np.array(rows), np.array(seconds)
    constants, _ = nnls(design / measured[:, None], np.ones(len(measured)))
    for name, value in zip(("TRIAL", "IMAGE", "MAC", "ACTIVATION"), constants, strict=True):
        print(f"_SECONDS_PER_{name} = {value:.2g}")
    for label, real, guess in zip(labels, measured, design @ constants, strict=True):
        print(f"{label:28} measured {real:7.1f} s, estimated {guess:7.1f} s")


if __name__ == "__main__":
    main()
