"""`cnn-pipeline champion`: show the model in use and its lineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cnn_pipeline.base import metric_names
from cnn_pipeline.cli.json_output import print_json
from cnn_pipeline.cli.options import home_from, home_option, json_option
from cnn_pipeline.cli.output import clean_stdout
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of
from cnn_pipeline.tracking import names

if TYPE_CHECKING:
    from cnn_pipeline.champion.registry import ModelVersion

EPILOG = """\b
Examples:
  cnn-pipeline champion
  cnn-pipeline champion --model fashion-mnist-sample-cnn
  cnn-pipeline champion --json"""

# (label, tag), the most asked first.
LINEAGE = (
    ("why", names.WHY),
    ("test accuracy", metric_names.TEST_ACCURACY),
    ("run", names.RUN_NAME),
    ("run page", names.RUN_URL),
    ("sweep", names.SWEEP_ID),
    ("data digest", names.DATA_DIGEST),
    ("data source", names.DATA_SOURCE),
    ("flow run", names.FLOW_RUN_ID),
    ("flow run page", names.FLOW_RUN_URL),
    ("configuration", names.VARIANT_HASH),
    ("retraining settings", names.CONFIG_HASH),
    ("code digest", names.CODE_DIGEST),
    ("git commit", names.GIT_COMMIT),
    ("sha256", names.MODEL_SHA256),
)

model_option = click.option(
    "--model",
    metavar="NAME",
    help="Registered model. (default: the only one, or fashion-mnist-cnn)",
)


@click.command("champion", cls=CollectingCommand, epilog=EPILOG)
@model_option
@home_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, model: str | None, home: str | None, as_json: bool) -> int:
    """Show the champion and its lineage: data, run, flow run, configuration and code. The exit
    status is 1 if its file is missing or damaged.
    """
    faults = faults_of(ctx)
    place = faults.of(home_from, home)
    faults.stop()
    assert place is not None

    from cnn_pipeline.champion.register import champion_of, open_registry

    with clean_stdout():
        champion = champion_of(model, place)
    if as_json:
        print_json("champion", champion)
    else:
        click.echo(champion_text(champion))
    open_registry(place).verify(champion)
    return 0


def champion_text(champion: ModelVersion) -> str:
    """Name and version, then one line for each known part of the lineage."""
    rows: list[tuple[str, Any]] = [("champion", champion.shown), ("run id", champion.run_id)]
    rows += [(label, champion.tags[tag]) for label, tag in LINEAGE if champion.tags.get(tag)]
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)
