"""`cnn-pipeline promote`: make a run's model the champion."""

from __future__ import annotations

import click

from cnn_pipeline.cli.json_output import print_json
from cnn_pipeline.cli.options import home_option, json_option, reason, writable_home_from
from cnn_pipeline.cli.output import clean_stdout, stages_told
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

EPILOG = """\b
Examples:
  cnn-pipeline promote 077e8edd29b047048c62764960ae77dc --why "the first model"
  cnn-pipeline promote 077e8edd29b047048c62764960ae77dc --why "new classes" --json"""


@click.command("promote", cls=CollectingCommand, epilog=EPILOG)
@click.argument("runs", metavar="RUN", nargs=-1)
@click.option("--why", metavar="TEXT", help="Reason, for the history. Required.")
@home_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, /, runs: tuple[str, ...], why: str | None, home: str | None, as_json: bool
) -> int:
    """Make the model of RUN (an MLflow run id) the champion without the gate's checks. Its file is
    verified, and the reason is added to the history. The old champion becomes 'previous'.
    """
    faults = faults_of(ctx)
    if not runs:
        faults.items.append("RUN: give the id of a run; see `cnn-pipeline compare`")
    faults.items += [f"unexpected argument {word!r}: one run at a time" for word in runs[1:]]
    text = faults.of(reason, "--why", why)
    place = faults.of(writable_home_from, home)
    faults.stop()
    assert text is not None and place is not None

    from cnn_pipeline.champion.register import promote_run

    with clean_stdout(), stages_told():
        promotion = promote_run(runs[0], text, place)
    version, decision = promotion.champion, promotion.decision
    if as_json:
        print_json("promote", promotion)
    elif decision is None:
        click.echo(f"{version.shown} is already the champion; nothing changed")
    else:
        before = decision.champion_before
        click.echo(
            f"{version.shown} is now the champion"
            + ("" if before is None else f"; version {before} is 'previous'")
        )
    return 0
