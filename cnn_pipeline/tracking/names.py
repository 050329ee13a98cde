"""Names of tags, params and artifacts: what runs are written and found with.

Metrics are named in `base/metric_names.py`, because settings and comparison need them too. Other
params than those here have the names of the settings' fields.
"""

from __future__ import annotations

# Tags that MLflow itself reads.
PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
COLOR = "mlflow.runColor"
DATA_ROLE = "mlflow.data.context"
# Without it MLflow's UI takes an experiment without traces for one about language models, and
# opens an empty page instead of the list of runs.
EXPERIMENT_KIND = "mlflow.experimentKind"
TRAINING_KIND = "custom_model_development"

# Tags of every run.
KIND = "kind"
SWEEP_KIND = "sweep"
TRIAL_KIND = "trial"
SWEEP_ID = "sweep_id"
DATASET = "dataset"
DATA_DIGEST = "data_digest"
DATA_SOURCE = "data_source"
CODE_DIGEST = "code_digest"
GIT_COMMIT = "git_commit"
GIT_DIRTY = "git_dirty"
FLOW_RUN_ID = "prefect.flow_run_id"
FLOW_RUN_URL = "prefect.flow_run_url"
REASON = "reason"

# Tags of a sweep's run.
SWEEP = "sweep"
SWEEP_HASH = "sweep_hash"
NUM_VALIDATION = "num_validation"
NUM_TEST = "num_test"
CLASS_COUNTS = "class_counts"
VERDICT = "verdict"
CHOSEN_VARIANT = "chosen_variant"
RETRAINING = "retraining"

# Tags of a trial's run. Runs can be renamed in MLflow's UI; the tag TRIAL stays.
TRIAL = "trial"
VARIANT = "variant"
VARIANT_HASH = "variant_hash"
CLASS_NAMES = "class_names"
IMAGE_SHAPE = "image_shape"
DEVICE = "device"
KERAS_BACKEND = "keras_backend"
VERSION_PREFIX = "version."
STOP_REASON = "stop_reason"
DIVERGED = "diverged"
MODEL_SHA256 = "model_sha256"
COMPLETE = "complete"
CONTENT_KEY = "content_key"
# The run that trained what another run holds; a copy of a copy names the first.
REUSED_FROM = "reused_from"

# Params of a trial's run, beside VARIANT and the settings.
SEED = "seed"
TRAIN_SAMPLES = "train_samples"

# Tags of a registered version, beside those of its run that it keeps.
RUN_NAME = "run_name"
RUN_URL = "run_url"
MODEL_ID = "model_id"  # MLflow leaves its own field out of search results
PARENT_RUN_ID = "parent_run_id"
CONTENT = "content"  # what was decided on, as JSON
CONFIG_HASH = "config_hash"
DECISION = "decision"
WHY = "why"
DECIDED_BY_FLOW_RUN = "decision.flow_run_id"
DECIDED_BY_FLOW_URL = "decision.flow_run_url"

# Tags of a registered model.
DECISION_PREFIX = "decision."
PENDING_DECISION = "pending_decision"

# How the last line of a note begins, where the sweep has a baseline.
AGAINST_BASELINE = "Against the baseline"

# Artifacts.
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
