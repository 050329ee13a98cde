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
CONTENT_KEY = "content_key"
# The run that trained what another run holds; a copy of a copy names the first.
REUSED_FROM = "reused_from"
PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
# How the last line of a note begins, where the sweep has a baseline.
AGAINST_BASELINE = "Against the baseline"
COLOR = "mlflow.runColor"
# Without it MLflow's UI takes an experiment without traces for one of language models, and
# opens an empty page instead of the list of runs.
EXPERIMENT_KIND = "mlflow.experimentKind"
TRAINING_KIND = "custom_model_development"

SWEEP_FILE = "sweep.json"
CONFIG_FILE = "config.json"
HISTORY_FILE = "history.csv"
LAYERS_FILE = "layers.json"
SUMMARY_FILE = "model_summary.txt"
PREDICTIONS_FILE = "predictions.parquet"
COMPARISON_FILE = "comparison.json"
MODEL_NAME = "model"
MODEL_FILE = "data/model.keras"


def experiment_name(dataset: str) -> str:
    """One experiment per data set and task."""
    return f"{dataset}-cnn"
