"""Write the JSON Schema of each command's `--json` into docs/reference/schemas/."""

from __future__ import annotations

import json
from pathlib import Path

from cnn_pipeline.cli.json_output import OUTPUTS, json_schema

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference" / "schemas"


def schema_file(command: str) -> Path:
    """The file that holds a command's schema, in its present version."""
    return FOLDER / f"{command}-{OUTPUTS[command].version}.json"


def schema_text(command: str) -> str:
    """What is in that file."""
    return json.dumps(json_schema(command), indent=1) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in OUTPUTS:
        schema_file(name).write_text(schema_text(name), encoding="utf-8")
