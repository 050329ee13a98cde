"""Errors of MLflow and its database that anybody may meet, in a sentence with the remedy.

Where a command expects one of them, it says more. This is for all other places: any call may meet
a lock or a server that has died since the command began.
"""

from __future__ import annotations

from cnn_pipeline.base.errors import causes
from cnn_pipeline.base.home import TRACKING_VARIABLE
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.tracking.store import StoreError

_AGAIN = "run the command again: what it had begun is completed"
# What an error says, its cause or its context, and the sentence.
_SENTENCES = {
    "database is locked": (
        "MLflow's store was locked by another process for too long (database is locked). Wait for "
        f"that process or end it (`fuser mlruns/mlflow.db` names it), and {_AGAIN}."
    ),
    "attempt to write a readonly database": (
        "MLflow's store must be writable, and is not (attempt to write a readonly database). Make "
        "mlruns/mlflow.db and its folder writable, or give another home with --home DIR."
    ),
    "disk image is malformed": (
        "MLflow's store is damaged (database disk image is malformed). Restore it from a backup: "
        "docs/operations.md, 'Backup and restore'."
    ),
    "must be in the 'active' state": (
        "what the command writes to was deleted in MLflow. Restore it: mlflow experiments restore "
        "--experiment-id ID, or mlflow runs restore --run-id ID."
    ),
    "Max retries exceeded": (
        f"MLflow's server does not answer any more. Start it, or correct {TRACKING_VARIABLE}, and "
        f"{_AGAIN}."
    ),
    "RemoteDisconnected": (
        f"MLflow's server ended in the middle of an answer. Start it, and {_AGAIN}."
    ),
}


def in_a_sentence(error: BaseException) -> StoreError | None:
    """The error as one that a user can mend; None if it is not of this kind."""
    for one in causes(error):
        text = str(one)
        for part, sentence in _SENTENCES.items():
            if part in text:
                return StoreError(sentence)
    if _is_missing_artifact(error):
        return StoreError(
            f"an artifact in MLflow's store must be readable, received: {_line(error)}. Restore "
            "it from a backup, or train again with `cnn-pipeline run --force`; `cnn-pipeline "
            "doctor` names all that is missing."
        )
    return None


def _is_missing_artifact(error: BaseException) -> bool:
    text = str(error)
    if isinstance(error, OSError):
        return "/artifacts/" in text or "mlruns" in text
    return type(error).__name__ == "MlflowException" and "artifact" in text.lower()


def _line(error: BaseException) -> str:
    return redacted(str(error).strip().partition("\n")[0])[:300]
