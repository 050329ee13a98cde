"""MLflow: the only package that writes runs, and the one that reads them back."""

from cnn_pipeline.tracking.details import RunDetails, read_details
from cnn_pipeline.tracking.inputs import Input, describe_inputs
from cnn_pipeline.tracking.names import experiment_name
from cnn_pipeline.tracking.reader import Reader, StoredModel, SweepRecord
from cnn_pipeline.tracking.store import Store, StoreError, open_store, redacted
from cnn_pipeline.tracking.views import run_colors
from cnn_pipeline.tracking.writer import Tracker

__all__ = [
    "Input",
    "Reader",
    "RunDetails",
    "Store",
    "StoreError",
    "StoredModel",
    "SweepRecord",
    "Tracker",
    "describe_inputs",
    "experiment_name",
    "open_store",
    "read_details",
    "redacted",
    "run_colors",
]
