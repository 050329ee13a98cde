"""`cnn-pipeline rollback`: make the previous champion champion again."""

from __future__ import annotations

from dataclasses import asdict

import click

from cnn_pipeline.cli.commands.champion import model_option
from cnn_pipeline.cli.options import home_option, json_option, reason, writable_home_from
from cnn_pipeline.cli.output import clean_stdout, print_json
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

EPILOG = """\b
Examples:
  cnn-pipeline rollback --why "it takes boots for bags since Monday"
  cnn-pipeline rollback --why "that was something else" --json"""


@click.command(
    "rollback",
    cls=CollectingCommand,
    help="Make the previous champion champion again, after its file is verified. The two change "
    "places, so that a second rollback takes the first one back.",
    epilog=EPILOG,
)
@click.option("--why", metavar="TEXT", help="The reason, for the history. Required.")
@model_option
@home_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    why: str | None,
    model: str | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Move the alias back."""
    faults = faults_of(ctx)
    text = faults.of(reason, "--why", why)
    place = faults.of(writable_home_from, home)
    faults.stop()
    assert text is not None and place is not None

    from cnn_pipeline.champion.register import champion_of, open_registry

    with clean_stdout():
        name = champion_of(model, place).name
        decision = open_registry(place).rollback(name, text)
    if as_json:
        print_json(asdict(decision))
    else:
        click.echo(
            f"{name} version {decision.champion_after} is champion again; "
            f"version {decision.champion_before} is 'previous'"
        )
    return 0
