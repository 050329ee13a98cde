"""Runs of a colleague's loop, logged by hand in a real store of MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.home import Home
from cnn_pipeline.comparison.types import Comparison
from cnn_pipeline.experiment.foreign import Question, verdict_on_runs

IMAGES = 500
LABELS = np.arange(IMAGES) % 10


class Loop:
    """A colleague's loop, which trains nothing: units 64 are better than 16 by four points."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.uri = home.database_uri
        self.client = MlflowClient(self.uri)
        self.experiment = self.client.create_experiment("digits", folder.as_uri())
        self.rng = np.random.default_rng(0)

    def run(
        self, units: int, name: str, predictions: pd.DataFrame | None = None, **params: Any
    ) -> str:
        """Log a run; its accuracy is that of its predictions."""
        right = self.rng.random(IMAGES) < (0.86 if units == 64 else 0.82)
        table = pd.DataFrame({"label": LABELS, "prediction": np.where(right, LABELS, 10)})
        if predictions is not None:
            table = predictions
        run_id = self.client.create_run(self.experiment, run_name=name).info.run_id
        logged = {"units": units, **params}
        accuracy = float((table["label"] == table["prediction"]).mean())
        self.client.log_batch(
            run_id,
            params=[Param(key, str(value)) for key, value in logged.items()],
            metrics=[Metric("test_accuracy", accuracy, 0, 0), Metric("loss", 0.5, 0, 0)],
        )
        self.client.log_text(run_id, table.to_csv(index=False), "predictions.csv")
        self.client.set_terminated(run_id)
        return str(run_id)

    def grid(self, seeds: int = 3) -> None:
        """Runs of both widths and these seeds."""
        for units in (16, 64):
            for seed in range(seeds):
                self.run(units, f"u{units}-{seed}", seed=seed)

    def ask(self, **fields: Any) -> Comparison:
        """The verdict by units."""
        question = {"experiment": "digits", "group_by": ("units",), **fields}
        return verdict_on_runs(Question(self.uri, **question)).comparison

    def faults(self, **fields: Any) -> str:
        """What is wrong with a question."""
        with pytest.raises(InvalidInput) as caught:
            self.ask(**fields)
        return "\n".join(caught.value.faults)
