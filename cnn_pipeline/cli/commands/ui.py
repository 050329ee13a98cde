"""`cnn-pipeline ui`: MLflow's user interface."""

from __future__ import annotations

import click

from cnn_pipeline.cli.options import home_option, whole, writable_home_from
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

EPILOG = """\b
Examples:
  cnn-pipeline ui
  cnn-pipeline ui --port 5001 --no-browser"""


@click.command(
    "ui",
    cls=CollectingCommand,
    help="Open MLflow on this machine only, and print the address that compares the runs of the "
    "last sweep. Ctrl-C ends it.",
    epilog=EPILOG,
)
@click.option("--port", metavar="N", help="Port on the loopback address. (default 5000)")
@click.option("--no-browser", is_flag=True, help="Only print the addresses.")
@home_option
@click.pass_context
def command(ctx: click.Context, /, port: str | None, no_browser: bool, home: str | None) -> int:
    """Serve until interrupted."""
    faults = faults_of(ctx)
    number = faults.of(whole, "--port", port, 5000, 1, 65_535)
    place = faults.of(writable_home_from, home)
    faults.stop()
    assert number is not None and place is not None

    from cnn_pipeline.services import mlflow_ui

    mlflow_ui.serve(place, number, open_browser=not no_browser)
    return 0
