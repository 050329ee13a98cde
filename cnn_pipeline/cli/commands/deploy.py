"""`cnn-pipeline deploy`: deploy the flows of `prefect.yaml` to a running Prefect server."""

from __future__ import annotations

import os
from collections.abc import Mapping

import click

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import TRACKING_VARIABLE
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.cli.options import bare_home_from, home_option
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

EPILOG = """\b
Examples:
  cnn-pipeline deploy
  PREFECT_API_URL=http://prefect.example:4200/api cnn-pipeline deploy"""


@click.command("deploy", cls=CollectingCommand, epilog=EPILOG)
@home_option
@click.pass_context
def command(ctx: click.Context, /, home: str | None) -> int:
    """Deploy the flows of prefect.yaml to the Prefect server that PREFECT_API_URL names, else to
    the one that 'cnn-pipeline up' started. Run it after a change of that file or of a flow's
    parameters. Changes made in Prefect's UI are kept: paused schedules stay paused, and parameters
    stay.
    """
    faults = faults_of(ctx)
    place = faults.of(bare_home_from, home)
    faults.stop()
    assert place is not None

    from cnn_pipeline.services.deploying import deploy, deploy_to_named
    from cnn_pipeline.services.doctor.servers import require_named_prefect
    from cnn_pipeline.services.named import API_VARIABLE, named_api
    from cnn_pipeline.services.running import running

    now = running(place)
    api = named_api(now)
    if api is not None:
        require_named_prefect(api)
        click.echo(deploy_to_named())
        click.echo(f"Deployed to {redacted(api)}. {_tracking(os.environ)}")
    elif now is not None:
        click.echo(deploy(place, now.addresses))
    else:
        raise UserError(
            f"no Prefect server runs under {place.root}, and {API_VARIABLE} names none. "
            "Start one with `cnn-pipeline up`, which also deploys, or set the variable."
        )
    return 0


def _tracking(environ: Mapping[str, str]) -> str:
    """Where runs will be recorded."""
    uri = environ.get(TRACKING_VARIABLE, "").strip()
    if not uri:
        return (
            f"{TRACKING_VARIABLE} is not set, so a worker that names no tracking server either "
            "writes to its own home folder."
        )
    return (
        f"Each worker must set {TRACKING_VARIABLE}, because it is set here ({redacted(uri)}). "
        "One without it refuses the runs."
    )
