"""Check that the record of a finished trial is still complete and consistent."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from mlflow.exceptions import MlflowException

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.files import sha256_of
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.models import StoredModel, copy_model_file, stored_model
from cnn_pipeline.tracking.reader import DamagedRecord, Reader
from cnn_pipeline.tracking.store import Store

_REQUIRED_FILES = {
    names.CONFIG_FILE,
    names.HISTORY_FILE,
    names.LAYERS_FILE,
    names.PREDICTIONS_FILE,
    names.SUMMARY_FILE,
}


def faults(reader: Reader, result: TrialResult) -> list[str]:
    """What is wrong with the stored record of a finished trial; empty if nothing is.

    Every artifact must be there, the predictions must give the logged test accuracy, and the
    model's file must have its recorded SHA-256.
    """
    try:
        stored = stored_model(reader.store, result.run_id)
        missing = sorted(_REQUIRED_FILES - reader.artifacts(result.run_id))
        if missing:
            return [f"{', '.join(missing)} must be among its artifacts"]
        labels, probabilities = reader.predictions(result.run_id)
        accuracy = float(np.mean(probabilities.argmax(axis=1) == labels))
        logged = result.metrics.get(metric_names.TEST_ACCURACY)
        if accuracy != logged:
            return [f"{names.PREDICTIONS_FILE} must give the logged {logged}, gives {accuracy}"]
        received = _model_sha256(reader.store, stored)
    except DamagedRecord as error:
        return [str(error)]
    except (MlflowException, OSError, ValueError, KeyError, UserError) as error:
        return [redacted(f"{type(error).__name__}: {error}").splitlines()[0]]
    if not received:
        return [f"the model's file {names.MODEL_FILE} must be there"]
    if received != stored.sha256:
        return [f"the model's sha256 must be {stored.sha256}, is {received}"]
    return []


def _model_sha256(store: Store, stored: StoredModel) -> str:
    """SHA-256 (hex) of the model's file; empty if there is no file."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            return sha256_of(copy_model_file(store, stored.model_id, Path(folder)))
    except (MlflowException, OSError):
        return ""  # MLflow's message lists folders over several lines
