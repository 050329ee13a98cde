"""`cnn-pipeline up`: start Prefect, MLflow and a worker."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import click

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import TRACKING_VARIABLE
from cnn_pipeline.base.links import to_open
from cnn_pipeline.cli.completing import folders
from cnn_pipeline.cli.options import bare_home_from, home_option, require_writable, whole
from cnn_pipeline.cli.output import home_words, program
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of
from cnn_pipeline.cli.steps import Steps

if TYPE_CHECKING:
    from cnn_pipeline.services.running import Running
    from cnn_pipeline.services.shared import SharedStore

PREFECT_PORT, MLFLOW_PORT = 4200, 5000

EPILOG = """\b
Examples:
  cnn-pipeline up
  cnn-pipeline up --detach
  cnn-pipeline up --prefect-port 4201 --mlflow-port 5001
  cnn-pipeline up --database postgresql://cnn@db.example/cnn --artifacts /srv/artifacts"""


@click.command("up", cls=CollectingCommand, epilog=EPILOG)
@click.option("--detach", "behind", is_flag=True, help="Run in the background.")
@click.option("--prefect-port", metavar="N", help="Port of Prefect's server. (default 4200)")
@click.option("--mlflow-port", metavar="N", help="Port of MLflow's server. (default 5000)")
@click.option(
    "--database",
    metavar="ADDRESS",
    help="PostgreSQL for both servers, postgresql://USER@HOST/NAME: the databases NAME_mlflow and "
    "NAME_prefect. 'sqlite' is files in the home folder. (default: as last time, else sqlite)",
)
@click.option(
    "--artifacts",
    metavar="PLACE",
    shell_complete=folders,
    help="Where MLflow's server keeps files with --database: s3://BUCKET/PREFIX or a folder.",
)
@home_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    behind: bool,
    prefect_port: str | None,
    mlflow_port: str | None,
    database: str | None,
    artifacts: str | None,
    home: str | None,
) -> int:
    """Start Prefect's and MLflow's servers, on this machine only, deploy the flows of prefect.yaml
    with their schedules, start a worker, and print the addresses. Ctrl-C or 'cnn-pipeline down'
    stops them; schedules, runs and models are kept for the next start. Passwords are read from
    PGPASSWORD or PGPASSFILE, keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE.
    """
    from cnn_pipeline.cli.store_flags import artifacts_from, database_from, shared_from
    from cnn_pipeline.services.shared import SharedStore, left_out

    faults = faults_of(ctx)
    prefect = faults.of(whole, "--prefect-port", prefect_port, PREFECT_PORT, 1, 65_535)
    mlflow = faults.of(whole, "--mlflow-port", mlflow_port, MLFLOW_PORT, 1, 65_535)
    place = faults.of(bare_home_from, home)
    if place is not None:
        faults.of(require_writable, place)
    address = faults.of(database_from, database)
    files = None if place is None else faults.of(artifacts_from, artifacts, place)
    faults.stop()
    assert prefect is not None and mlflow is not None and place is not None

    shared = shared_from(address, files, place, os.environ.get(TRACKING_VARIABLE, "").strip())

    from cnn_pipeline.services.addresses import Ports, ServiceFolder
    from cnn_pipeline.services.control import bring_up, detach
    from cnn_pipeline.services.running import running
    from cnn_pipeline.services.shared_check import require_shared

    where = home_words(home)
    logs = str(ServiceFolder.of(place).logs)
    now = running(place)
    before = None
    with contextlib.suppress(UserError):  # a file that cannot be read is written anew
        before = SharedStore.load(place)
    if now is not None:
        if shared != before:
            raise UserError(
                f"the services of {place.root} already run with another store. "
                f"Stop them first: {program()} down{where}"
            )
        click.echo(f"already running as process {now.supervisor_pid}")
        click.echo(text(now, before, where, logs))
        return 1 if now.fault else 0
    if behind and shared is not None:
        require_shared(shared)  # the exit status is that of the fault
    if not behind and (hidden := left_out(place, shared, before)):
        _say(f"not shown, and left as it is: {hidden}")
    ports = Ports(prefect, mlflow)
    if behind:
        click.echo(text(detach(place, ports, shared, _say), shared, where, logs))
        click.echo(f"Running in the background. Stop with: {program()} down{where}")
        return 0

    def ready(now: Running) -> None:
        say.done()
        click.echo(text(now, shared, where, logs))
        click.echo("Press Ctrl-C to stop.")

    with Steps("starting the services") as say:
        bring_up(place, ports, shared, say, ready)
    return 0


def _say(line: str) -> None:
    click.echo(line, err=True)


def text(now: Running, shared: SharedStore | None, where: str, logs: str) -> str:
    """Addresses, stores, logs and state."""
    stores = (
        "" if shared is None else f"Database: {shared.database}\nFiles:    {shared.artifacts}\n"
    )
    state = now.fault or ("ready" if now.ready else "starting")
    return (
        f"Prefect:  {now.addresses.prefect}\n"
        f"MLflow:   {to_open(now.addresses.mlflow)}\n"
        f"{stores}"
        f"Logs:     {logs}\n"
        f"State:    {state} (details: {program()} doctor{where})"
    )
