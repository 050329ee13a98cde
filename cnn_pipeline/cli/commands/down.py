"""`cnn-pipeline down`: end what `up` has started."""

from __future__ import annotations

import click

from cnn_pipeline.cli.options import home_from, home_option
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

EPILOG = """\b
Examples:
  cnn-pipeline down"""


@click.command(
    "down",
    cls=CollectingCommand,
    help="End Prefect's and MLflow's servers, the worker and its runs. Schedules, runs and models "
    "stay; a run that was going is marked as crashed.",
    epilog=EPILOG,
)
@home_option
@click.pass_context
def command(ctx: click.Context, /, home: str | None) -> int:
    """End everything; the status is 0 also where nothing ran."""
    faults = faults_of(ctx)
    place = faults.of(home_from, home)
    faults.stop()
    assert place is not None

    from cnn_pipeline.services.control import take_down

    click.echo("stopped" if take_down(place) else f"nothing runs under {place.root}")
    return 0
