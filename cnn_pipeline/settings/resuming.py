"""How what was stopped goes on. No number depends on it, so no hash of settings includes it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cnn_pipeline.settings.trial import Settings


class Resuming(Settings):
    """How what was stopped goes on."""

    fresh: bool = False
    """Start a new sweep, and each training at its beginning, even if an identical one stopped."""
    checkpoint_seconds: Annotated[float, Field(ge=0.1, le=86_400)] = 60.0
    """Each epoch is saved at its end; one that takes longer is saved within it, too."""
