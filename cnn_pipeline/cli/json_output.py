"""What each command prints with `--json`: one object of a documented, versioned type.

`docs/reference/json.md` shows the types, `docs/reference/schemas/` has them as JSON Schema. If a
type changes, raise its version here and run `python -m scripts.write_schemas`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

import click
from pydantic import ConfigDict, TypeAdapter, create_model

VERSION = "schema_version"


@dataclass(frozen=True)
class Output:
    """The output of a command."""

    version: int
    """Counts from 1; raised with each change of the type."""
    type_name: str
    """The dataclass or pydantic model, as 'package.module:Name'."""

    def type(self) -> Any:
        """The class; imports its module."""
        return resolve_name(f"cnn_pipeline.{self.type_name}")


OUTPUTS = {
    "champion": Output(1, "champion.registry:ModelVersion"),
    "compare": Output(3, "comparison.types:Comparison"),
    "compare-two": Output(2, "comparison.two_sweeps_types:TwoSweeps"),
    "data": Output(2, "data.describe:Description"),
    "doctor": Output(1, "services.doctor:Examination"),
    "history": Output(1, "champion.registry:History"),
    "list": Output(2, "tracking.overview:SweepList"),
    "notify": Output(1, "services.notifying:Channels"),
    "plan": Output(2, "cli.commands.plan:SweepPlan"),
    "predict": Output(1, "champion.predict:Predictions"),
    "promote": Output(1, "champion.register:Promotion"),
    "reproduce": Output(1, "champion.reproduce:Reproduction"),
    "retrain": Output(1, "champion.retraining.outcome:RetrainOutcome"),
    "rollback": Output(1, "champion.registry:Decision"),
    "run": Output(3, "experiment.outcome:Outcome"),
    "sweeps": Output(1, "cli.commands.sweeps:NamedSweeps"),
    "verdict": Output(2, "comparison.types:Comparison"),
    "watch": Output(2, "cli.snapshot:Snapshot"),
}
"""The outputs by command. `compare` prints its two with `--format json`, for one and two sweeps."""


def json_text(command: str, value: object) -> str:
    """A command's output as JSON. NaN and infinity, which JSON does not have, become null.

    Raises:
        PydanticSerializationError: `value` is not of the type in `OUTPUTS`.
    """
    output = OUTPUTS[command]
    adapter: TypeAdapter[object] = TypeAdapter(output.type())
    fields = json.loads(adapter.dump_json(value, warnings="error"))
    return json.dumps({VERSION: output.version, **fields}, indent=2, ensure_ascii=False)


def print_json(command: str, value: object) -> None:
    """Print a command's output as one JSON object."""
    click.echo(json_text(command, value))


def json_schema(command: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of a command's output; descriptions are the fields' docstrings."""
    output = OUTPUTS[command]
    kind = output.type()
    # A dataclass takes the configuration of the model that holds it.
    documented = ConfigDict(use_attribute_docstrings=True)
    holder = create_model("Holder", __config__=documented, value=(kind, ...))
    types = holder.model_json_schema(mode="serialization")["$defs"]
    top = types.pop(kind.__name__)
    version = {VERSION: {"const": output.version, "type": "integer"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"cnn-pipeline {command}, version {output.version}",
        **{key: value for key, value in top.items() if key != "title"},
        "properties": version | top["properties"],
        "required": [*version, *top["properties"]],
        **({"$defs": types} if types else {}),
    }
