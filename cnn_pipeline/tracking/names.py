"""The words that runs are written and found with. One quantity has one name."""

from __future__ import annotations

SWEEP_ID = "sweep_id"
KIND = "kind"
SWEEP_KIND = "sweep"
TRIAL_KIND = "trial"
# Runs can be renamed in MLflow's UI; this stays.
TRIAL = "trial"
VARIANT = "variant"
REASON = "reason"
MODEL_SHA256 = "model_sha256"
COMPLETE = "complete"
PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
COLOR = "mlflow.runColor"
# Without it MLflow's UI takes an experiment without traces for one of language models, and
# opens an empty page instead of the list of runs.
EXPERIMENT_KIND = "mlflow.experimentKind"
TRAINING_KIND = "custom_model_development"

SWEEP_FILE = "sweep.json"
CONFIG_FILE = "config.json"
PREDICTIONS_FILE = "predictions.parquet"
COMPARISON_FILE = "comparison.json"
MODEL_NAME = "model"
MODEL_FILE = "data/model.keras"


def experiment_name(dataset: str) -> str:
    """One experiment per data set and task."""
    return f"{dataset}-cnn"
