"""Names of variants that differ in their training: 'f64-max-lr0.003'."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from cnn_pipeline.settings.trial import Training, Variant, shortened

_PARTS: Mapping[str, str] = MappingProxyType(
    {
        "learning_rate": "lr{}",
        "optimizer": "{}",
        "batch_size": "b{}",
        "epochs": "e{}",
        "schedule": "{}",
        "ema_momentum": "ema{}",
        "weight_decay": "wd{}",
        "augmentation": "{}",
        "patience": "patience{}",
        "class_weights": "{}",
    }
)
"""How a setting of the training stands in a name. The words are unique among all settings."""


def recipe_name(variant: Variant, training: Mapping[str, Any]) -> str:
    """Name of the variant with these fields of `Training`: what differs from the defaults."""
    base = Training()
    parts = [
        _PARTS[name].format(_plain(value))
        for name, value in training.items()
        if value != getattr(base, name)
    ]
    content = json.dumps([variant.content_hash(), dict(training)], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return shortened("-".join([variant.name, *parts]), digest)


def _plain(value: object) -> str:
    """'0.00001' for 1e-05, without the zero of '1.0'; a word is itself."""
    if not isinstance(value, float):
        return str(value).replace("+", "-")
    text = f"{Decimal(repr(value)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
