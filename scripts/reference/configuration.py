"""The page of the configuration, generated from pydantic models and docstrings of their fields."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from cnn_pipeline.champion.requirements import GateSettings
from cnn_pipeline.champion.retraining.drift import DriftSettings
from cnn_pipeline.champion.retraining.settings import NotifySettings, RetrainSettings
from cnn_pipeline.cli.flags import FLAGS, Flag
from cnn_pipeline.settings.command_line import flag_name
from cnn_pipeline.settings.engine import Engine
from cnn_pipeline.settings.sweep import ONLY_AUTO, Axes, Entry, Sweep
from cnn_pipeline.settings.trial import DataSettings, Expectation, Settings, Training, Variant
from scripts.reference.markdown import code, table

SECTIONS: tuple[tuple[str, type[Settings]], ...] = (
    ("Sweep: the keys of a sweep's file", Sweep),
    ("Variant: `[variant]`", Variant),
    ("Axes: `[axes]`", Axes),
    ("Entry: `[[entries]]`", Entry),
    ("Expectation: `[[entries.expect]]`", Expectation),
    ("Training: `[training]`", Training),
    ("Data: `[data]`", DataSettings),
    ("Retraining: the keys of a retraining's file", RetrainSettings),
    ("Notify: `[notify]`", NotifySettings),
    ("Gate: `[gate]`", GateSettings),
    ("Drift: `[drift]`", DriftSettings),
    ("Engine: more keys of either file", Engine),
)
# A flag of the network sets an axis. If the axis has one value, that is the variant's. One of the
# training sets an axis only with several values.
_OWNERS: dict[str, tuple[type[Settings], ...]] = {
    "axes": (Axes, Variant),
    **dict.fromkeys(("seeds", "metric", *ONLY_AUTO), (Sweep,)),
    "training": (Training,),
    "data": (DataSettings,),
}


def configuration_page() -> str:
    """Return a table for each model: field, accepted values, default, flag, meaning."""
    return "\n\n".join(_section(title, model) for title, model in SECTIONS)


def _section(title: str, model: type[Settings]) -> str:
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    rows = []
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else _default(field.default)
        rows.append(
            (
                code(name),
                _takes(schema["properties"][name], definitions),
                default,
                code(_flag(model, name)),
                field.description or "",
            )
        )
    return "\n\n".join(
        [
            f"## {title}",
            " ".join((model.__doc__ or "").split()),
            table(("field", "takes", "default", "flag", "meaning"), rows),
        ]
    )


def _flag(model: type[Settings], field: str) -> str:
    if model is Engine:
        return flag_name(field)
    return next((f.name for f in FLAGS if model in _owners(f) and f.path[-1] == field), "")


def _owners(flag: Flag) -> tuple[type[Settings], ...]:
    """The models with the field that the flag sets."""
    return (*_OWNERS[flag.path[0]], *((Axes,) if flag.axis else ()))


def _default(value: Any) -> str:
    if isinstance(value, BaseModel):
        changed = value.model_dump(mode="json", exclude_defaults=True)
        name = changed.get("name")
        return f"the sweep `{name}`" if name else "all defaults"
    if value is None:
        return "none"
    return code(json.dumps(value))


def _takes(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Say in words which values a JSON schema accepts."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        known = [one for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(_takes(one, definitions) for one in known)
    if "enum" in schema:
        return ", ".join(code(json.dumps(value)) for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return f"list; each {_takes(schema['items'], definitions)}"
    names = {
        "integer": "whole number",
        "number": "number",
        "boolean": "`true`, `false`",
        "string": "text",
        "object": "table",
    }
    return f"{names[kind]}{_bounds(schema)}" if kind else "any value"


def _bounds(schema: dict[str, Any]) -> str:
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    found = [f"{word} {_number(schema[key])}" for key, word in words.items() if key in schema]
    if "pattern" in schema:
        found.append(f"of the form `{schema['pattern']}`")
    return f", {' and '.join(found)}" if found else ""


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) or value >= 1e6 else f"{value:g}"
