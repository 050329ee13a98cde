"""The types of `--json`, their versions and their published schemas."""

import json
import math

import click
import pytest
from pydantic_core import PydanticSerializationError

from cnn_pipeline.cli.app import COMMANDS, app
from cnn_pipeline.cli.json_output import OUTPUTS, json_text
from cnn_pipeline.data.describe import SplitDescription
from cnn_pipeline.network.results import TrialResult
from scripts.write_schemas import FOLDER, schema_file, schema_text


def test_every_command_with_json_has_a_documented_output() -> None:
    context = click.Context(app)
    commands = {name: app.get_command(context, name) for name in COMMANDS}
    flagged = {
        name
        for name, command in commands.items()
        if command and any("--json" in option.opts for option in command.params)
    }
    assert flagged | {"compare", "compare-two"} == set(OUTPUTS)


@pytest.mark.parametrize("command", OUTPUTS)
def test_the_published_schema_is_that_of_the_type(command: str) -> None:
    """If this fails, raise the version in OUTPUTS and run `python -m scripts.write_schemas`."""
    assert schema_file(command).read_text(encoding="utf-8") == schema_text(command)


def test_no_schema_is_left_over() -> None:
    assert set(FOLDER.iterdir()) == {schema_file(command) for command in OUTPUTS}


def test_json_has_its_version_and_null_for_nan_and_infinity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(OUTPUTS, "trial", type(OUTPUTS["run"])(3, "network.results:TrialResult"))
    metrics = {"a": math.nan, "b": math.inf, "c": 1.5}
    text = json_text("trial", TrialResult("ü", "x", 0, "1", "FINISHED", metrics=metrics))
    assert list(json.loads(text))[:2] == ["schema_version", "name"]
    assert json.loads(text)["schema_version"] == 3
    assert json.loads(text)["metrics"] == {"a": None, "b": None, "c": 1.5}
    assert '"ü"' in text


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(PydanticSerializationError):
        json_text("data", SplitDescription)
