"""`cnn-pipeline down`: stop the services that `up` started."""

from __future__ import annotations

import click

from cnn_pipeline.cli.options import bare_home_from, home_option
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

EPILOG = """\b
Examples:
  cnn-pipeline down"""


@click.command("down", cls=CollectingCommand, epilog=EPILOG)
@home_option
@click.pass_context
def command(ctx: click.Context, /, home: str | None) -> int:
    """Stop Prefect's and MLflow's servers, the worker and its runs. Schedules, runs and models are
    kept; active runs are marked as crashed. Runs of other processes that use this Prefect server,
    as those of 'run' and 'retrain', are cancelled.
    """
    faults = faults_of(ctx)
    place = faults.of(bare_home_from, home)
    faults.stop()
    assert place is not None

    from cnn_pipeline.services.control import take_down

    click.echo("stopped" if take_down(place, click.echo) else f"nothing runs under {place.root}")
    return 0
