"""Registered models: which version is champion, and the history of that."""

from cnn_pipeline.champion.registry.promoter import ChampionChanged, Promoter
from cnn_pipeline.champion.registry.reader import Registry
from cnn_pipeline.champion.registry.version import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    Decision,
    History,
    ModelVersion,
    registered_name,
)

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PREVIOUS",
    "ChampionChanged",
    "Decision",
    "History",
    "ModelVersion",
    "Promoter",
    "Registry",
    "registered_name",
]
