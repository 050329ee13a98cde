"""`cnn-pipeline rollback`: restore the previous champion."""

from __future__ import annotations

import click

from cnn_pipeline.cli.commands.champion import model_option
from cnn_pipeline.cli.json_output import print_json
from cnn_pipeline.cli.options import home_option, json_option, reason, writable_home_from
from cnn_pipeline.cli.output import clean_stdout, stages_told
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

EPILOG = """\b
Examples:
  cnn-pipeline rollback --why "confuses boots with bags since Monday"
  cnn-pipeline rollback --why "the cause was elsewhere" --json"""


@click.command("rollback", cls=CollectingCommand, epilog=EPILOG)
@click.option("--why", metavar="TEXT", help="Reason, for the history. Required.")
@model_option
@home_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, /, why: str | None, model: str | None, home: str | None, as_json: bool
) -> int:
    """Restore the previous champion, after its file is verified. The two versions swap roles, so
    that a second rollback undoes the first.
    """
    faults = faults_of(ctx)
    text = faults.of(reason, "--why", why)
    place = faults.of(writable_home_from, home)
    faults.stop()
    assert text is not None and place is not None

    from cnn_pipeline.champion.register import champion_of, open_registry

    with clean_stdout(), stages_told():
        name = champion_of(model, place).name
        decision = open_registry(place).rollback(name, text)
    if as_json:
        print_json("rollback", decision)
    else:
        click.echo(
            f"{name} version {decision.champion_after} is the champion again; "
            f"version {decision.champion_before} is 'previous'"
        )
    return 0
