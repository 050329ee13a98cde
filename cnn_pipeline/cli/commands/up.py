"""`cnn-pipeline up`: start Prefect, MLflow and a worker."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from cnn_pipeline.cli.options import home_option, whole, writable_home_from
from cnn_pipeline.cli.output import program
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

if TYPE_CHECKING:
    from cnn_pipeline.services.control import Running

PREFECT_PORT, MLFLOW_PORT = 4200, 5000

EPILOG = """\b
Examples:
  cnn-pipeline up
  cnn-pipeline up --detach
  cnn-pipeline up --prefect-port 4201 --mlflow-port 5001"""


@click.command("up", cls=CollectingCommand, epilog=EPILOG)
@click.option("--detach", "behind", is_flag=True, help="Run in the background.")
@click.option("--prefect-port", metavar="N", help="Port of Prefect's server. (default 4200)")
@click.option("--mlflow-port", metavar="N", help="Port of MLflow's server. (default 5000)")
@home_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    behind: bool,
    prefect_port: str | None,
    mlflow_port: str | None,
    home: str | None,
) -> int:
    """Start Prefect's and MLflow's servers, on this machine only, deploy the flows of prefect.yaml
    with their schedules, start a worker, and print the addresses. Ctrl-C or 'cnn-pipeline down'
    stops them; schedules, runs and models are kept for the next start.
    """
    faults = faults_of(ctx)
    prefect = faults.of(whole, "--prefect-port", prefect_port, PREFECT_PORT, 1, 65_535)
    mlflow = faults.of(whole, "--mlflow-port", mlflow_port, MLFLOW_PORT, 1, 65_535)
    place = faults.of(writable_home_from, home)
    faults.stop()
    assert prefect is not None and mlflow is not None and place is not None

    from cnn_pipeline.services.addresses import Ports, ServiceFolder
    from cnn_pipeline.services.control import bring_up, detach, running

    where = "" if home is None else f" --home {shlex.quote(home)}"
    logs = str(ServiceFolder.of(place).logs)
    now = running(place)
    if now is not None:
        click.echo(f"already running as process {now.supervisor_pid}")
        click.echo(text(now, where, logs))
        return 1 if now.fault else 0
    ports = Ports(prefect, mlflow)
    if behind:
        click.echo(text(detach(place, ports), where, logs))
        click.echo(f"Running in the background. Stop with: {program()} down{where}")
        return 0

    def ready(now: Running) -> None:
        click.echo(text(now, where, logs))
        click.echo("Press Ctrl-C to stop.")

    bring_up(place, ports, lambda line: click.echo(line, err=True), ready)
    return 0


def text(now: Running, where: str, logs: str) -> str:
    """Addresses, logs and state."""
    state = now.fault or ("ready" if now.ready else "starting")
    return (
        f"Prefect:  {now.addresses.prefect}\n"
        f"MLflow:   {now.addresses.mlflow}\n"
        f"Logs:     {logs}\n"
        f"State:    {state} (details: {program()} doctor{where})"
    )
