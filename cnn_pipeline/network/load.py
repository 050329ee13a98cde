"""Load a logged model after its file was verified."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.files import sha256_of
from cnn_pipeline.base.startup import lean_imports

if TYPE_CHECKING:
    import keras


def load_verified(path: Path, sha256: str, name: str) -> keras.Model:
    """Load a `.keras` file that must have the given SHA-256 (hex).

    `name` is used in errors, as 'the model of run f64-max-s0'. Keras' safe mode refuses files that
    contain code.

    Raises:
        UserError: the file is not the logged one, or Keras cannot read it.
    """
    received = sha256_of(path)
    if received != sha256:
        raise UserError(
            f"{name} must have SHA-256 {sha256}, received {received}: the file is damaged or was "
            "replaced. Train the variant again, or restore the artifacts from a backup."
        )
    # Hide TensorFlow's start-up messages.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with lean_imports():
        import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{name} must be one that Keras {keras.__version__} reads without running code, "
            f"received: {reason}. Train the variant again."
        ) from None
