"""Names of settings and levels in sentences and tables."""

from __future__ import annotations

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
    "test_accuracy": "test accuracy",
    "train_seconds": "training time",
    "num_params": "parameters",
    "macs": "MACs",
}
_AMOUNTS = {"higher": "more", "lower": "fewer"}
_DIRECTIONS = {
    "num_params": _AMOUNTS,
    "macs": _AMOUNTS,
    "train_seconds": {"higher": "longer", "lower": "shorter"},
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
