"""`cnn-pipeline champion`: which model is in use, and where it came from."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from cnn_pipeline.cli.options import home_from, home_option, json_option
from cnn_pipeline.cli.output import clean_stdout, print_json
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

if TYPE_CHECKING:
    from cnn_pipeline.champion.registry import ModelVersion

EPILOG = """\b
Examples:
  cnn-pipeline champion
  cnn-pipeline champion --model fashion-mnist-sample-cnn
  cnn-pipeline champion --json"""

# What a person asks first, in this order: (label, tag).
LINEAGE = (
    ("why", "why"),
    ("test accuracy", "test_accuracy"),
    ("run", "run_name"),
    ("run page", "run_url"),
    ("sweep", "sweep_id"),
    ("data digest", "data_digest"),
    ("data source", "data_source"),
    ("flow run", "prefect.flow_run_id"),
    ("flow run page", "prefect.flow_run_url"),
    ("configuration", "variant_hash"),
    ("retraining settings", "config_hash"),
    ("code digest", "code_digest"),
    ("git commit", "git_commit"),
    ("sha256", "model_sha256"),
)

model_option = click.option(
    "--model",
    metavar="NAME",
    help="Registered model. (default: the only one, else fashion-mnist-cnn)",
)


@click.command(
    "champion",
    cls=CollectingCommand,
    help="Show the champion with its lineage: data, run, flow run, configuration and code.",
    epilog=EPILOG,
)
@model_option
@home_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, model: str | None, home: str | None, as_json: bool) -> int:
    """Read the alias and print what it names."""
    faults = faults_of(ctx)
    place = faults.of(home_from, home)
    faults.stop()
    assert place is not None

    from cnn_pipeline.champion.register import champion_of

    with clean_stdout():
        champion = champion_of(model, place)
    if as_json:
        print_json(asdict(champion))
    else:
        click.echo(champion_text(champion))
    return 0


def champion_text(champion: ModelVersion) -> str:
    """Name and version, then one line for each part of the lineage that is known."""
    rows: list[tuple[str, Any]] = [("champion", champion.shown), ("run id", champion.run_id)]
    rows += [(label, champion.tags[tag]) for label, tag in LINEAGE if champion.tags.get(tag)]
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)
