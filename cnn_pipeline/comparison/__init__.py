"""The comparison of a sweep: leaderboard, effects of settings, paired tests, verdict.

It sees records and arrays of answers only: no Keras, no MLflow, no Prefect.
"""

from cnn_pipeline.comparison.compare import compare, describe_sweep
from cnn_pipeline.comparison.records import Comparison, Expected, SweepInfo, Verdict
from cnn_pipeline.comparison.table import leaderboard

__all__ = [
    "Comparison",
    "Expected",
    "SweepInfo",
    "Verdict",
    "compare",
    "describe_sweep",
    "leaderboard",
]
