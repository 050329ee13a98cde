"""The page of the `--json` outputs, generated from their JSON Schemas."""

from __future__ import annotations

from typing import Any

from cnn_pipeline.cli.json_output import OUTPUTS, json_schema
from scripts.reference.markdown import as_words, code, table


def json_page() -> str:
    """Return a section for each command, and below one for each type that they share."""
    commands: list[str] = []
    types: dict[str, tuple[dict[str, Any], str]] = {}
    for command in OUTPUTS:
        schema = json_schema(command)
        names = {name: name for name in schema.get("$defs", {})}
        for name, fields in schema.get("$defs", {}).items():
            if name in types and types[name][0]["properties"] != fields["properties"]:
                names[name] = f"{name} of {command}"  # two types have one name
        for name, fields in schema.get("$defs", {}).items():
            types.setdefault(names[name], (fields, _section(names[name], "", fields, names)))
        commands.append(_section(_title(command), _link(command), schema, names))
    shared = [types[name][1] for name in sorted(types)]
    return "\n\n".join(["## By command", *commands, "## Shared types", *shared])


def _title(command: str) -> str:
    flags = {"compare": "[SWEEP] --format json", "compare-two": "SWEEP SWEEP --format json"}
    return f"{command.partition('-')[0]} {flags.get(command, '--json')}"


def _link(command: str) -> str:
    version = OUTPUTS[command].version
    return f"Version {version}; [JSON Schema](schemas/{command}-{version}.json)."


def _section(title: str, link: str, schema: dict[str, Any], names: dict[str, str]) -> str:
    rows = [
        (code(name), _type(field, names), as_words(field.get("description", "")))
        for name, field in schema["properties"].items()
    ]
    parts = [f"### {title}", link, as_words(schema.get("description", ""))]
    return "\n\n".join([*filter(None, parts), table(("field", "type", "meaning"), rows)])


def _type(schema: dict[str, Any], names: dict[str, str]) -> str:
    """A JSON Schema's type in words: 'list of text', 'number or null'."""
    if "$ref" in schema:
        name = names[str(schema["$ref"]).rpartition("/")[2]]
        return f"[{name}](#{name.lower().replace(' ', '-')})"
    if "anyOf" in schema:
        return " or ".join(_type(one, names) for one in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return ", ".join(code(str(v)) for v in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "any")
    if kind == "array":
        each = schema.get("items") or schema.get("prefixItems", [{}])[0]
        return f"list of {_type(each, names)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'], names)} by name"
    return {"string": "text", "integer": "whole number"}.get(kind, str(kind))
