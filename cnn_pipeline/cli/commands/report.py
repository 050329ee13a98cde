"""`cnn-pipeline report`: write a sweep's report as one HTML file."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.files import write_whole
from cnn_pipeline.cli.commands.compare import tell_of_newer
from cnn_pipeline.cli.completing import files, stored_sweeps
from cnn_pipeline.cli.options import home_from, home_option
from cnn_pipeline.cli.output import clean_stdout, writable_file
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

EPILOG = """\b
Examples:
  cnn-pipeline report --open
  cnn-pipeline report filters-and-pooling-20260901-101500 --output page.html
  cnn-pipeline report --compare f64-max,f16-max"""

DEFAULT_FILE = "report.html"


@click.command("report", cls=CollectingCommand, epilog=EPILOG)
@click.argument("sweeps", metavar="[SWEEP]", nargs=-1, shell_complete=stored_sweeps)
@click.option(
    "--output",
    metavar="FILE",
    shell_complete=files,
    help=f"File to write. (default {DEFAULT_FILE})",
)
@click.option("--open", "show", is_flag=True, help="Open the report in the browser.")
@click.option(
    "--compare",
    "pair",
    metavar="A,B",
    help="Variants whose predictions to compare. (default the choice and the baseline)",
)
@home_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    sweeps: tuple[str, ...],
    output: str | None,
    show: bool,
    pair: str | None,
    home: str | None,
) -> int:
    """Write the report of SWEEP, an id or a name, by default of the last sweep that has ended, as
    one HTML file that works offline: verdict, charts, confusion matrices, single images, and how
    to repeat the sweep.
    """
    faults = faults_of(ctx)
    faults.items += [f"unexpected argument {word!r}: one sweep at a time" for word in sweeps[1:]]
    target = faults.of(writable_file, "--output", DEFAULT_FILE if output is None else output)
    labels = None if pair is None else faults.of(_two_labels, pair)
    place = faults.of(home_from, home)
    faults.stop()
    assert target is not None and place is not None

    from cnn_pipeline.experiment.stored import load_report

    with clean_stdout():
        sweep = sweeps[0] if sweeps else None
        page = load_report(sweep, place, labels)
        tell_of_newer("report", sweep, place)
    write_whole(target, page)
    click.echo(f"wrote {target}", err=True)
    if show:
        _open(target)
    return 0


def _two_labels(text: str) -> tuple[str, str]:
    labels = [part.strip() for part in text.split(",")]
    if len(labels) != 2 or not all(labels):
        raise InvalidInput([f"--compare: must be two variants as A,B, received {text!r}"])
    return labels[0], labels[1]


def _open(file: Path) -> None:
    address = file.resolve().as_uri()
    if not webbrowser.open(address):
        click.echo(f"no browser was found; the page is at {address}", err=True)
