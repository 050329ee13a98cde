"""Names of settings and their levels in sentences and tables."""

from __future__ import annotations

from collections.abc import Mapping

from cnn_pipeline.base import metric_names
from cnn_pipeline.comparison.types import Expected
from cnn_pipeline.network.plan import ACTIVATIONS

_POOLING = {
    "max": "max-pooling",
    "average": "average pooling",
    "strided": "strided convolution",
    "none": "no pooling",
}
_OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "sgd": "SGD"}
_AUGMENTATIONS = {
    "none": "no augmentation",
    "flip": "random flips",
    "shift": "random shifts",
    "flip+shift": "random flips and shifts",
    "random-erase": "random erasing",
}
_DECAYS = {"0": "no weight decay", "default": "the optimizer's own weight decay"}
_SCHEDULES = {"cosine": "cosine-decayed"}
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
    if axis == "epochs" and level == "1":
        return "1 epoch"
    if axis == "activation":
        return ACTIVATIONS.get(level, level)
    if axis == "weight_decay" and level in _DECAYS:
        return _DECAYS[level]
    if axis == "augmentation":
        return _AUGMENTATIONS.get(level, level)
    if axis == "optimizer":
        return _OPTIMIZERS.get(level, level)
    if axis == "schedule":
        return f"{_SCHEDULES.get(level, level)} learning rate"
    if axis == "class_weights":
        return "no class weights" if level == "none" else f"{level} class weights"
    if axis == "ema_momentum":
        return "no moving average" if level == "none" else f"moving average {level}"
    if axis in _UNITS:
        return f"{level} {_UNITS[axis]}"
    return f"{axis.replace('_', ' ')} {level}"


def expectation_text(expected: Expected) -> str:
    """'higher test accuracy than f64-max', 'fewer MACs than f64-max'."""
    words = _DIRECTIONS.get(expected.metric, {})
    direction = words.get(expected.direction, expected.direction)
    metric = _METRICS.get(expected.metric, expected.metric)
    return f"{direction} {metric} than {expected.against}"


def place_text(where: Mapping[str, str]) -> str:
    """', with max-pooling' of a simple effect; empty for a main effect."""
    return "".join(f", with {level_text(axis, level)}" for axis, level in where.items())
