"""`cnn-pipeline notify`: list the blocks that can notify people, and try one."""

from __future__ import annotations

import click

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.cli.json_output import print_json
from cnn_pipeline.cli.options import bare_home_from, home_option, json_option
from cnn_pipeline.cli.output import clean_stdout
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

EPILOG = """\b
Examples:
  cnn-pipeline notify
  cnn-pipeline notify --test slack-webhook/ops"""


@click.command("notify", cls=CollectingCommand, epilog=EPILOG)
@click.option("--test", metavar="BLOCK", help="Send a test message through this block.")
@home_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, test: str | None, home: str | None, as_json: bool) -> int:
    """List the notification blocks of the Prefect server (PREFECT_API_URL, else that of
    'cnn-pipeline up'). With --test, send a message through one and say whether its service
    accepted it. The exit status is 1 if it did not.
    """
    faults = faults_of(ctx)
    place = faults.of(bare_home_from, home)
    faults.stop()
    assert place is not None

    from cnn_pipeline.cli.launch import prefect_ready

    require_server(place)
    with clean_stdout(), prefect_ready(place):
        from prefect.client.orchestration import get_client

        from cnn_pipeline.services.notifying import (
            Channels,
            blocks_that_notify,
            check_blocks,
            send,
        )

        if test is not None:
            check_blocks([test])
            send(test, "cnn-pipeline: test", "A test message of `cnn-pipeline notify --test`.")
        with get_client(sync_client=True) as client:
            found = Channels(redacted(str(client.api_url)), tuple(blocks_that_notify(client)), test)
    if as_json:
        print_json("notify", found)
    elif test is not None:
        click.echo(f"sent: {test} accepted the message")
    elif found.blocks:
        click.echo("\n".join(found.blocks))
    else:
        click.echo(
            f"no notification block at {found.server}; docs/how-to/schedule.md says how to make one"
        )
    return 0


def require_server(home: Home) -> None:
    """Check that a Prefect server is named and answers, or runs.

    Raises:
        UserError: there is none. A temporary one would have no blocks.
    """
    from cnn_pipeline.services.doctor.servers import require_named_prefect
    from cnn_pipeline.services.named import named_api
    from cnn_pipeline.services.running import running

    up = running(home)
    if (api := named_api(up)) is not None:
        require_named_prefect(api)
    elif up is None or not up.ready:
        raise UserError(
            f"no Prefect server runs under {home.root}, and PREFECT_API_URL is not set: blocks "
            "are kept by a server. Start it with `cnn-pipeline up`."
        )
