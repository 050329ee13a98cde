"""`cnn-pipeline serve`: serve the champion over HTTP."""

from __future__ import annotations

import os

import click

from cnn_pipeline.champion.server.secret import token_from
from cnn_pipeline.cli.completing import files
from cnn_pipeline.cli.options import home_from, home_option, model_from, whole
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

EPILOG = """\b
Examples:
  cnn-pipeline serve
  cnn-pipeline serve --port 8081 --model my-images-cnn

\b
Send it a picture file in base64, or pixels, under "inputs":
  printf '{"inputs": [{"b64": "%s"}]}' "$(base64 < boot.png | tr -d '\\n')" |
    curl --json @- http://127.0.0.1:8080/invocations
  curl http://127.0.0.1:8080/health

\b
Let only those in who know a token:
  (umask 077 && openssl rand -hex 32 > serve.token)
  cnn-pipeline serve --token-file serve.token
  curl -H "Authorization: Bearer $(cat serve.token)" http://127.0.0.1:8080/health"""


@click.command("serve", cls=CollectingCommand, epilog=EPILOG)
@click.option(
    "--port", metavar="N", help="Port on the loopback address; 0 chooses a free one. (default 8080)"
)
@click.option(
    "--token-file",
    metavar="FILE",
    shell_complete=files,
    help="File whose one line requests must carry in 'Authorization: Bearer TOKEN'. "
    "(default: CNN_PIPELINE_SERVE_TOKEN, else no token)",
)
@click.option(
    "--model",
    metavar="NAME",
    help="Registered model whose champion is used. (default fashion-mnist-cnn, or that of the last "
    "sweep's data if only they have a champion)",
)
@home_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    port: str | None,
    token_file: str | None,
    model: str | None,
    home: str | None,
) -> int:
    """Serve the champion over HTTP on this machine only: a page at / for people, and MLflow's
    scoring protocol for programs (POST /invocations, GET /ping, /health and /version). A promotion
    takes effect within seconds, without a restart. Press Ctrl-C to stop.
    """
    faults = faults_of(ctx)
    number = faults.of(whole, "--port", port, 8080, 0, 65_535)
    name = faults.of(model_from, model)
    place = faults.of(home_from, home)
    token = faults.of(token_from, token_file, os.environ)
    faults.stop()
    assert number is not None and place is not None

    from cnn_pipeline.champion.server.process import serve

    serve(place, number, name, click.echo, token)
    return 0
