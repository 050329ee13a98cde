"""Names of settings and their levels in sentences and tables."""

from __future__ import annotations

from cnn_pipeline.base import metric_names
from cnn_pipeline.comparison.types import Expected

_POOLING = {
    "max": "max-pooling",
    "average": "average pooling",
    "strided": "strided convolution",
    "none": "no pooling",
}
_UNITS = {
    "filters": "filters",
    "conv_layers": "convolution layers",
    "dense_units": "dense units",
    "epochs": "epochs",
}
_METRICS = {
    metric_names.TEST_ACCURACY: "test accuracy",
    metric_names.TRAIN_SECONDS: "training time",
    metric_names.NUM_PARAMS: "parameters",
    metric_names.MACS: "MACs",
}
_AMOUNTS = {"higher": "more", "lower": "fewer"}
_DIRECTIONS = {
    metric_names.NUM_PARAMS: _AMOUNTS,
    metric_names.MACS: _AMOUNTS,
    metric_names.TRAIN_SECONDS: {"higher": "longer", "lower": "shorter"},
}


def axis_title(axis: str) -> str:
    """'Filters', 'Pooling', 'Kernel size'."""
    return axis.replace("_", " ").capitalize()


def level_text(axis: str, level: str) -> str:
    """'64 filters', 'no pooling', 'dropout 0.3', 'batch normalisation'."""
    if axis == "pooling":
        return _POOLING.get(level, level)
    if axis == "batch_norm":
        return "batch normalisation" if level == "true" else "no batch normalisation"
    if axis == "conv_layers" and level == "1":
        return "1 convolution layer"
    if axis in _UNITS:
        return f"{level} {_UNITS[axis]}"
    return f"{axis.replace('_', ' ')} {level}"


def expectation_text(expected: Expected) -> str:
    """'higher test accuracy than f64-max', 'fewer MACs than f64-max'."""
    words = _DIRECTIONS.get(expected.metric, {})
    direction = words.get(expected.direction, expected.direction)
    metric = _METRICS.get(expected.metric, expected.metric)
    return f"{direction} {metric} than {expected.against}"
