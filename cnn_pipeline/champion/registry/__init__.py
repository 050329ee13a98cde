"""Registered models: which version is champion, and the history of that."""

from cnn_pipeline.champion.registry.promoter import Promoter
from cnn_pipeline.champion.registry.reader import Registry
from cnn_pipeline.champion.registry.version import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    Decision,
    ModelVersion,
    registered_name,
)

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PREVIOUS",
    "Decision",
    "ModelVersion",
    "Promoter",
    "Registry",
    "registered_name",
]
