"""`cnn-pipeline ui`: open MLflow's UI."""

from __future__ import annotations

import click

from cnn_pipeline.cli.options import home_option, whole, writable_home_from
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of
from cnn_pipeline.cli.steps import Steps

EPILOG = """\b
Examples:
  cnn-pipeline ui
  cnn-pipeline ui --port 5001 --no-browser"""


@click.command("ui", cls=CollectingCommand, epilog=EPILOG)
@click.option("--port", metavar="N", help="Port on the loopback address. (default 5000)")
@click.option("--no-browser", is_flag=True, help="Print the addresses only.")
@home_option
@click.pass_context
def command(ctx: click.Context, /, port: str | None, no_browser: bool, home: str | None) -> int:
    """Open MLflow's UI, on this machine only, at the comparison of the last sweep's runs. Press
    Ctrl-C to stop.
    """
    faults = faults_of(ctx)
    number = faults.of(whole, "--port", port, 5000, 1, 65_535)
    place = faults.of(writable_home_from, home)
    faults.stop()
    assert number is not None and place is not None

    with Steps("opening the store") as say:
        from cnn_pipeline.services.mlflow_ui import serve

        def ready(pages: str) -> None:
            say.done()
            click.echo(pages)

        serve(place, number, open_browser=not no_browser, say=say, ready=ready)
    return 0
