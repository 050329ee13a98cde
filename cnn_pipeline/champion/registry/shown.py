"""What MLflow's pages of registered models show: decisions as sentences, and no JSON.

The history is kept in tags that MLflow hides. Tags of versions are all shown, in a row of the list
of versions, so they are few, and lists in them are words; `read_tags` gives back what was written.
What earlier versions of this package stored is read as well.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from typing import Any

from cnn_pipeline.champion.registry.version import Action, Decision
from cnn_pipeline.tracking import names

_MOST_CHARACTERS = 5000  # of a tag in MLflow's database
# What stands in one tag: known when the version is made, and known when it is decided on.
_PARTS = {
    names.RECORD: (
        names.MODEL_ID,
        names.MODEL_SHA256,
        names.DATA_DIGEST,
        names.DATA_SOURCE,
        names.IMAGE_SHAPE,
        names.PREPARATION,
        names.CLASS_NAMES,
        names.CLASS_COUNTS,
        names.SWEEP_HASH,
        names.VARIANT_HASH,
        names.CODE_DIGEST,
        names.GIT_COMMIT,
        names.GIT_DIRTY,
        names.FLOW_RUN_ID,
    ),
    names.DECIDED_ON: (
        names.CONTENT_KEY,
        names.CONTENT,
        names.CONFIG_HASH,
        names.PARENT_RUN_ID,
        names.DECIDED_BY_FLOW_RUN,
    ),
}
_VERBS: dict[Action, str] = {
    "promote": "Promoted",
    "refuse": "Refused",
    "rollback": "Made champion again",
}


def sentence(decision: Decision) -> str:
    """'Promoted on 2026-11-28: f64-max-s0 (version 2) replaces ...'."""
    day = datetime.datetime.fromisoformat(decision.at).date()
    return f"{_VERBS[decision.action]} on {day}: {decision.why}"


def description(before: str, decision: Decision) -> str:
    """The description of a version after a decision on it, which stands above what was there."""
    line = sentence(decision)
    earlier = [part for part in before.split("\n\n") if part and part != line]
    return "\n\n".join((line, *earlier))


def hidden(name: str) -> str:
    """The name under which a tag of the model itself is stored."""
    return f"{names.HIDDEN_PREFIX}{name}"


def unhidden(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags of a model under their own names, as earlier versions stored them."""
    return {key.removeprefix(names.HIDDEN_PREFIX): value for key, value in tags.items()}


def written_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags of a version as they are stored: few, in words.

    '["T-shirt", "Coat"]' becomes 'T-shirt, Coat', and most tags become parts of one.
    """
    stored = {name: _in_words(name, value) for name, value in tags.items()}
    for whole, members in _PARTS.items():
        parts = {name: stored[name] for name in members if name in stored}
        if not parts:
            continue
        text = " | ".join(f"{name}: {value}" for name, value in parts.items())
        if len(text) <= _MOST_CHARACTERS and _divided(text) == parts:
            stored = {name: value for name, value in stored.items() if name not in parts}
            stored[whole] = text
        else:
            stored[whole] = "-"  # an earlier one no longer holds
    return stored


def read_tags(stored: Mapping[str, str]) -> dict[str, str]:
    """Tags of a version as they were before `written_tags`."""
    tags = {name: value for name, value in stored.items() if name not in _PARTS}
    for whole in _PARTS:
        tags |= _divided(stored.get(whole, ""))
    return {
        name: json.dumps(_PARSERS[name](value))
        if name in _PARSERS and not value.startswith(("{", "["))
        else value
        for name, value in tags.items()
    }


def _divided(text: str) -> dict[str, str]:
    pairs = (part.partition(": ") for part in text.split(" | "))
    return {name: value for name, separator, value in pairs if separator}


def _in_words(name: str, value: str) -> str:
    if name not in _PARSERS:
        return value
    found = json.loads(value)
    if isinstance(found, dict):
        words = "; ".join(f"{key}: {_listed(item)}" for key, item in found.items())
    else:
        words = _listed(found)
    # A class may be named 'Shirts, long', which would be read as two.
    unchanged = not words.startswith(("{", "[")) and _PARSERS[name](words) == found
    return words if unchanged else value


def _listed(item: Any) -> str:
    return ", ".join(map(str, item)) if isinstance(item, list) else str(item)


def _record(words: str) -> dict[str, str]:
    pairs = (part.partition(": ") for part in words.split("; "))
    return {key: value for key, _, value in pairs}


def _counts(words: str) -> dict[str, list[int]]:
    items = _record(words).items()
    return {key: [int(count) for count in value.split(", ") if count] for key, value in items}


_PARSERS: dict[str, Callable[[str], Any]] = {
    names.CLASS_NAMES: lambda words: words.split(", "),
    names.CLASS_COUNTS: _counts,
    names.CONTENT: _record,
    names.PREPARATION: _record,
}
