"""`cnn-pipeline compare`: the leaderboard and the verdict of a sweep."""

from __future__ import annotations

from pathlib import Path

import click

from cnn_pipeline.base.files import write_whole
from cnn_pipeline.base.home import Home
from cnn_pipeline.cli.options import choice, home_from, home_option
from cnn_pipeline.cli.output import clean_stdout, writable_file
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

FORMATS = ("table", "csv", "json", "markdown", "html")
SUFFIXES = {".csv": "csv", ".json": "json", ".md": "markdown", ".html": "html", ".htm": "html"}

EPILOG = """\b
Examples:
  cnn-pipeline compare
  cnn-pipeline compare filters-and-pooling-20260901-101500
  cnn-pipeline compare --format csv > leaderboard.csv
  cnn-pipeline compare --output report.html"""


@click.command("compare", cls=CollectingCommand, epilog=EPILOG)
@click.argument("sweeps", metavar="[SWEEP]", nargs=-1)
@click.option(
    "--format",
    "form",
    metavar="|".join(FORMATS),
    help="Output format. (default table, or the suffix of the output file)",
)
@click.option("--output", metavar="FILE", help="Write to a file instead of stdout.")
@home_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    sweeps: tuple[str, ...],
    form: str | None,
    output: str | None,
    home: str | None,
) -> int:
    """Show the leaderboard and the verdict of SWEEP, by default of the last sweep."""
    faults = faults_of(ctx)
    faults.items += [f"unexpected argument {word!r}: one sweep at a time" for word in sweeps[1:]]
    target = faults.of(writable_file, "--output", output) if output is not None else None
    kind = faults.of(choice, "--format", form or _kind_of(target), FORMATS)
    place = faults.of(home_from, home)
    faults.stop()
    assert kind is not None and place is not None

    with clean_stdout():
        text = _rendered(kind, sweeps[0] if sweeps else None, place).rstrip("\n")
    if target is None:
        click.echo(text)
    else:
        write_whole(target, text + "\n")
        click.echo(f"wrote {target}", err=True)
    return 0


def _kind_of(target: Path | None) -> str:
    return SUFFIXES.get(target.suffix.lower(), "table") if target else "table"


def _rendered(kind: str, sweep_id: str | None, home: Home) -> str:
    from cnn_pipeline.comparison import render
    from cnn_pipeline.experiment.stored import load_comparison, load_report

    if kind == "html":  # needs more than the comparison
        return load_report(sweep_id, home)
    writers = {
        "table": render.to_text,
        "csv": render.to_csv,
        "json": render.to_json,
        "markdown": render.to_markdown,
    }
    return writers[kind](load_comparison(sweep_id, home))
