"""`cnn-pipeline deploy`: deploy the flows of `prefect.yaml` to the running server."""

from __future__ import annotations

import click

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.cli.options import home_from, home_option
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

EPILOG = """\b
Examples:
  cnn-pipeline deploy"""


@click.command("deploy", cls=CollectingCommand, epilog=EPILOG)
@home_option
@click.pass_context
def command(ctx: click.Context, /, home: str | None) -> int:
    """Deploy the flows of prefect.yaml to the Prefect server that 'cnn-pipeline up' started. Run
    it after a change of that file or of a flow's parameters. Changes made in Prefect's UI are
    kept: paused schedules stay paused, and parameters stay.
    """
    faults = faults_of(ctx)
    place = faults.of(home_from, home)
    faults.stop()
    assert place is not None

    from cnn_pipeline.services.control import running
    from cnn_pipeline.services.deploying import deploy

    now = running(place)
    if now is None:
        raise UserError(
            f"no Prefect server runs under {place.root}. "
            "Start it with `cnn-pipeline up`, which also deploys."
        )
    click.echo(deploy(place, now.addresses))
    return 0
