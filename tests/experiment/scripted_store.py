"""Sweeps written to MLflow as the pipeline writes them, with made-up answers and no training."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from mlflow.entities import Param
from mlflow.tracking import MlflowClient
from numpy.typing import NDArray

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.home import Home
from cnn_pipeline.comparison.types import Comparison
from cnn_pipeline.experiment.steps import comparison_files
from cnn_pipeline.experiment.stored import compare_stored
from cnn_pipeline.experiment.sweep_page import sweep_metrics, sweep_tags
from cnn_pipeline.network.evaluation import Evaluation, predictions_table
from cnn_pipeline.network.image_scores import score
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Trial
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.reader import Reader
from cnn_pipeline.tracking.store import open_store
from cnn_pipeline.tracking.writer import Tracker

NUM_TEST = 200
CLASSES = ("cat", "dog")


class ScriptedSweep:
    """A sweep that has begun; each trial ends when a test says so."""

    def __init__(
        self,
        home: Home,
        sweep: Sweep,
        sweep_id: str,
        *,
        dataset: str = "pets",
        digest: str = "d1",
        code: str = "c1",
    ) -> None:
        self.sweep, self.sweep_id = sweep, sweep_id
        self.tracker = Tracker(open_store(home, {}))
        self.reader = Reader(self.tracker.store)
        self.experiment_id = self.tracker.experiment(names.experiment_name(dataset))
        self.tags = {names.DATASET: dataset, names.DATA_DIGEST: digest, names.CODE_DIGEST: code}
        facts = {names.NUM_VALIDATION: "100", names.NUM_TEST: str(NUM_TEST)}
        self.run_id = self.tracker.start_sweep(
            self.experiment_id, sweep_id, sweep, {**self.tags, **facts}
        )
        self.tracker.describe_sweep(self.experiment_id, self.run_id, sweep_id, sweep, {})

    def begin(self, trial: Trial) -> str:
        """Start the run of a trial; returns its id."""
        return self.tracker.start_trial(
            self.experiment_id, self.run_id, self.sweep_id, trial, self.tags
        )

    def end(self, trial: Trial, wrong: int) -> None:
        """Run a trial that gets the first `wrong` test images wrong."""
        run_id = self.begin(trial)
        correct = np.arange(NUM_TEST) >= wrong
        settings = {
            **trial.variant.model_dump(mode="json"),
            **trial.training.model_dump(),
            "seed": trial.seed,
        }
        MlflowClient(self.tracker.store.uri).log_batch(
            run_id, params=[Param(name, spell(value)) for name, value in settings.items()]
        )
        labels, given = answers(correct)
        metrics = {
            **{
                name: score(metric, labels, given)
                for metrics in (metric_names.VALIDATION, metric_names.TEST)
                for metric, name in metrics.items()
            },
            metric_names.NUM_PARAMS: 1000.0,
            metric_names.MACS: 5000.0,
            metric_names.TRAIN_SECONDS: 20.0,
        }
        self.tracker.log_summary(run_id, metrics)
        self.tracker.log_files(run_id, {names.PREDICTIONS_FILE: predictions(correct)})
        self.tracker.tag(run_id, {names.COMPLETE: "true"})
        self.tracker.end(run_id, "FINISHED")

    def finish(self, status: str = "FINISHED") -> Comparison:
        """Compare what there is, and end the sweep's run."""
        results, comparison = compare_stored(self.reader, self.reader.sweep(self.sweep_id))
        self.tracker.log_files(self.run_id, comparison_files(comparison))
        self.tracker.log_summary(self.run_id, sweep_metrics(comparison, results, seconds=60.0))
        tags = sweep_tags(comparison, self.experiment_id, self.run_id, pictures=())
        self.tracker.tag(self.run_id, tags)
        self.tracker.end(self.run_id, status)
        return comparison


def answers(correct: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """True and given classes, of which those are equal where `correct` says so: bool `[n]`."""
    labels = np.arange(len(correct)) % 2
    return labels, np.where(correct, labels, 1 - labels)


def predictions(correct: NDArray[np.bool_]) -> bytes:
    """A parquet file of predictions that are right where `correct` says so: bool `[n]`."""
    labels, given = answers(correct)
    probabilities = np.eye(2, dtype=np.float32)[given]
    buffer = io.BytesIO()
    predictions_table(Evaluation(CLASSES, labels, probabilities)).to_parquet(buffer)
    return buffer.getvalue()


def whole(home: Home, sweep: Sweep, sweep_id: str, wrong: Mapping[str, int], **facts: str) -> None:
    """A sweep that finished; `wrong` counts each trial's mistakes, by the trial's name."""
    made = ScriptedSweep(home, sweep, sweep_id, **facts)
    for trial in sweep.trials():
        made.end(trial, wrong[trial.name])
    made.finish()
