"""`cnn-pipeline watch`: a sweep that runs, as a live picture."""

from __future__ import annotations

import os
import sys

import click

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.cli.completing import stored_sweeps
from cnn_pipeline.cli.json_output import print_json
from cnn_pipeline.cli.options import home_from, home_option
from cnn_pipeline.cli.output import clean_stdout
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

EPILOG = """\b
Examples:
  cnn-pipeline watch
  cnn-pipeline watch pooling
  cnn-pipeline watch --once
  cnn-pipeline watch --once --json"""


@click.command("watch", cls=CollectingCommand, epilog=EPILOG)
@click.argument("sweeps", metavar="[SWEEP]", nargs=-1, shell_complete=stored_sweeps)
@click.option("--once", is_flag=True, help="Print the picture once and leave; needs no terminal.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print one JSON object.")
@home_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    sweeps: tuple[str, ...],
    once: bool,
    as_json: bool,
    home: str | None,
) -> int:
    """Watch SWEEP, an id or a name, by default the newest that runs: each trial's state and
    accuracy on the validation images, and the time that is left. It may run in another terminal,
    in a worker, or on another machine that writes to the same MLflow. Without a running sweep, wait
    for one. The picture ends with the sweep; q and Ctrl-C leave earlier, and the sweep goes on.
    With --once and no running sweep, show the newest one.
    """
    faults = faults_of(ctx)
    faults.items += [f"unexpected argument {word!r}: one sweep at most" for word in sweeps[1:]]
    place = faults.of(home_from, home)
    if as_json and not once:
        faults.items.append("--json: needs --once")
    faults.stop()
    if not once and (not sys.stdout.isatty() or os.environ.get("TERM") == "dumb"):
        raise InvalidInput(["watch needs a terminal; print one picture with --once"])
    assert place is not None

    with clean_stdout():
        from cnn_pipeline.cli.watching import Watch
        from cnn_pipeline.services.running import mlflow_address

        watch = Watch(sweeps[0] if sweeps else None, place, mlflow_address(place), wait=not once)
        first = watch.snapshot() if once else None
    if first is None:
        from cnn_pipeline.cli.full_screen import follow

        return follow(watch.snapshot)
    if as_json:
        print_json("watch", first)
    else:
        from rich.console import Console

        from cnn_pipeline.cli.screen import Screen

        Console().print(Screen(first), crop=False)
    return 0
