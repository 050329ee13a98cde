"""Sweeps of small convolutional networks: trained, tracked, compared with a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnn_pipeline.comparison.table import verdict

__all__ = ["__version__", "verdict"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import `verdict` when it is used, because pandas takes a second."""
    if name == "verdict":
        from cnn_pipeline.comparison.table import verdict

        return verdict
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
