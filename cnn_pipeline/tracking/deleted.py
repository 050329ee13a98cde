"""What was deleted in MLflow's UI can be restored for some weeks: say so, with the command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlflow.entities import Experiment, LifecycleStage, ViewType

from cnn_pipeline.base.home import TRACKING_VARIABLE
from cnn_pipeline.tracking.store import Store, StoreError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def require_active(store: Store, experiment: Experiment) -> str:
    """Id of an experiment that runs can be written to.

    Raises:
        StoreError: it was deleted. MLflow keeps its name, so a new one cannot take its place.
    """
    if experiment.lifecycle_stage == LifecycleStage.ACTIVE:
        return str(experiment.experiment_id)
    number = experiment.experiment_id
    for_good = (
        f"; or delete it for good, and start anew: mlflow gc --backend-store-uri {store.uri!r} "
        f"--experiment-ids {number}"
    )
    raise StoreError(
        f"the experiment {experiment.name} in {store.shown_uri} must not be deleted, and it was "
        f"(in MLflow's UI, for example). Restore it with its runs: {_mlflow(store)} experiments "
        f"restore --experiment-id {number}{for_good if _is_own(store) else ''}."
    )


def restore_hint(store: Store, client: MlflowClient) -> str:
    """A sentence about the deleted experiments, where what was looked for may be; else empty."""
    found: Sequence[Experiment] = client.search_experiments(view_type=ViewType.DELETED_ONLY)
    if not found:
        return ""
    names = ", ".join(f"{one.name} (id {one.experiment_id})" for one in found[:3])
    return (
        f" It may be in a deleted experiment: {names}. Restore one with: {_mlflow(store)} "
        "experiments restore --experiment-id ID."
    )


def _mlflow(store: Store) -> str:
    """MLflow's command for this store. An address with a password is in the variable already."""
    return f"{TRACKING_VARIABLE}={store.uri!r} mlflow" if _is_own(store) else "mlflow"


def _is_own(store: Store) -> bool:
    return store.artifacts_uri is not None
