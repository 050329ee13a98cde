"""`cnn-pipeline serve`: serve the champion over HTTP."""

from __future__ import annotations

import click

from cnn_pipeline.cli.options import home_from, home_option, model_from, model_option, whole
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

EPILOG = """\b
Examples:
  cnn-pipeline serve
  cnn-pipeline serve --port 8081 --model my-images-cnn

\b
Send it a PNG or JPEG file in base64, or pixels, under "inputs":
  printf '{"inputs": [{"b64": "%s"}]}' "$(base64 < boot.png | tr -d '\\n')" |
    curl --json @- http://127.0.0.1:8080/invocations
  curl http://127.0.0.1:8080/health"""


@click.command("serve", cls=CollectingCommand, epilog=EPILOG)
@click.option(
    "--port", metavar="N", help="Port on the loopback address; 0 chooses a free one. (default 8080)"
)
@model_option
@home_option
@click.pass_context
def command(ctx: click.Context, /, port: str | None, model: str | None, home: str | None) -> int:
    """Serve the champion over HTTP on this machine only, with MLflow's scoring protocol: POST
    /invocations, GET /ping, /health and /version. A promotion takes effect within seconds, without
    a restart. Press Ctrl-C to stop.
    """
    faults = faults_of(ctx)
    number = faults.of(whole, "--port", port, 8080, 0, 65_535)
    name = faults.of(model_from, model)
    place = faults.of(home_from, home)
    faults.stop()
    assert number is not None and place is not None

    from cnn_pipeline.champion.find_model import DEFAULT_MODEL
    from cnn_pipeline.champion.server.process import serve

    serve(place, number, name or DEFAULT_MODEL, click.echo)
    return 0
