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
# For servers older than MLflow 3.17, whose UI opens the runs because of it.
EXPERIMENT_KIND = "mlflow.experimentKind"
TRAINING_KIND = "custom_model_development"

# Tags of the experiment of own data, beside DATA_DIGEST.
DATA_PATH = "data_path"

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
PROCESS = "process"  # who writes the run; `base/identity.py` knows whether it lives
# Of a run that was stopped and went on: when it last did, and the seconds that it had worked.
CONTINUED_AT = "continued_at"
WORKED_SECONDS = "worked_seconds"

# Tags of a sweep's run.
SWEEP = "sweep"
SWEEP_HASH = "sweep_hash"
NUM_VALIDATION = "num_validation"
NUM_TEST = "num_test"
CLASS_COUNTS = "class_counts"
DATA_WARNINGS = "data_warnings"  # sentences, as JSON
TEST_DRAWN = "test_drawn"
VERDICT = "verdict"
CHOSEN_VARIANT = "chosen_variant"
ROUNDS = "rounds"  # how they ended, where the seeds are 'auto'
ROUNDS_ANSWER = "rounds.answer"
ROUNDS_GUARANTEE = "rounds.guarantee"
DROPPED = "rounds.dropped"  # label and reason, as JSON
RETRAINING = "retraining"
SEARCH = "search"  # id of the search whose best variants it compares with fresh seeds

# Tags of a trial's run. Runs can be renamed in MLflow's UI; the tag TRIAL stays.
TRIAL = "trial"
VARIANT = "variant"
VARIANT_HASH = "variant_hash"
CLASS_NAMES = "class_names"
IMAGE_SHAPE = "image_shape"
PREPARATION = "preparation"  # of pictures, as JSON; models of earlier versions have none
DEVICE = "device"
NODE = "node"  # of a Ray cluster; trials of this machine have none
KERAS_BACKEND = "keras_backend"
VERSION_PREFIX = "version."
STOP_REASON = "stop_reason"
DIVERGED = "diverged"
MODEL_SHA256 = "model_sha256"
PREDICTIONS_SHA256 = "predictions_sha256"
COMPLETE = "complete"
CONTENT_KEY = "content_key"
# The run that trained what another run holds; a copy of a copy names the first.
REUSED_FROM = "reused_from"

# Params of a sweep's run.
AXES = "axes"
SEEDS = "seeds"
DATA = "data"
EPOCHS = "epochs"

# Params of a trial's run, beside VARIANT and the settings.
SEED = "seed"
TRAIN_SAMPLES = "train_samples"
PRECISION = "precision"  # the one that was used; the setting may be 'auto'
THREADS = "threads"  # likewise; the setting may be 0

# MLflow's UI shows no tags of a registered model with a name that starts with 'mlflow.'.
HIDDEN_PREFIX = "mlflow.cnn_pipeline."

# Tags of a registered version, beside those of its run that it keeps.
RUN_NAME = "run_name"
RUN_URL = "run_url"
MODEL_ID = "model_id"  # MLflow leaves its own field out of search results
PARENT_RUN_ID = "parent_run_id"
CONTENT = "content"  # what was decided on, as JSON
CONFIG_HASH = "config_hash"
RECORD = "record"  # what programs need, in one tag: MLflow lists every tag of every version
DECIDED_ON = "decided_on"
DECISION = "decision"
WHY = "why"
DECIDED_BY_FLOW_RUN = "decision.flow_run_id"
DECIDED_BY_FLOW_URL = "decision.flow_run_url"

# Tags of a registered model.
DECISION_PREFIX = "decision."
PENDING_DECISION = "pending_decision"

# How the last line of a note begins, where the sweep has a baseline.
AGAINST_BASELINE = "Against the baseline"

# Key of the saved view of all sweeps. Other keys are names of sweeps, which do not start with '_'.
SWEEPS_VIEW = "_sweeps"

# Artifacts.
SWEEP_FILE = "sweep.json"
CONFIG_FILE = "config.json"
HISTORY_FILE = "history.csv"
LAYERS_FILE = "layers.json"
SUMMARY_FILE = "model_summary.txt"
PREDICTIONS_FILE = "predictions.parquet"
SEARCH_FILE = "search.json"
COMPARISON_FILE = "comparison.json"
SHEET_FILE = "plots/contact_sheet.png"
ERROR_FILE = "error.txt"
PICTURE_FILES = ("plots/answer.svg", "plots/effects.svg")
MODEL_NAME = "model"
MODEL_FILE = "data/model.keras"


def experiment_name(dataset: str) -> str:
    """One experiment per data set and task."""
    return f"{dataset}-cnn"
