"""`cnn-pipeline compare`: the verdict of a sweep, or two sweeps side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnn_pipeline.base.files import write_whole
from cnn_pipeline.base.home import Home
from cnn_pipeline.cli.completing import files, stored_sweeps, words
from cnn_pipeline.cli.json_output import json_text
from cnn_pipeline.cli.options import choice, home_from, home_option
from cnn_pipeline.cli.output import clean_stdout, program, writable_file
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

if TYPE_CHECKING:
    from cnn_pipeline.comparison.types import Comparison

OF_COLUMNS = ("table", "csv")
OF_TWO = ("table", "json", "markdown")
FORMATS = ("table", "csv", "json", "markdown", "html")
SUFFIXES = {".csv": "csv", ".json": "json", ".md": "markdown", ".html": "html", ".htm": "html"}

EPILOG = """\b
Examples:
  cnn-pipeline compare
  cnn-pipeline compare --details --all
  cnn-pipeline compare filters-and-pooling-20260901-101500
  cnn-pipeline compare --format csv > leaderboard.csv
  cnn-pipeline compare --output report.html
  cnn-pipeline compare --columns label,filters,test_accuracy,macs --sort=-macs
  cnn-pipeline compare pooling-20260901-101500-4f1c pooling-20260908-101500-9a02"""


@click.command("compare", cls=CollectingCommand, epilog=EPILOG)
@click.argument("sweeps", metavar="[SWEEP [SWEEP]]", nargs=-1, shell_complete=stored_sweeps)
@click.option(
    "--format",
    "form",
    metavar="|".join(FORMATS),
    shell_complete=words(FORMATS),
    help="Output format. (default table, or the suffix of the output file)",
)
@click.option("--details", is_flag=True, help="Show the whole verdict and all tables, too.")
@click.option(
    "--all",
    "whole",
    is_flag=True,
    help="Show all of many variants in tables, which else have the best 20; CSV and JSON have all.",
)
@click.option(
    "--columns", metavar="NAME,...", help="Show only the leaderboard, with these columns."
)
@click.option(
    "--sort",
    metavar="NAME",
    help="Show only the leaderboard, sorted by NAME; -NAME reverses it.",
)
@click.option(
    "--output", metavar="FILE", shell_complete=files, help="Write to a file instead of stdout."
)
@home_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    sweeps: tuple[str, ...],
    form: str | None,
    details: bool,
    whole: bool,
    columns: str | None,
    sort: str | None,
    output: str | None,
    home: str | None,
) -> int:
    """Show what came out of SWEEP, an id or a name, by default of the last sweep that has ended:
    one sentence, one picture, one table. Of a sweep that is running, show the trials that have
    ended. Of two sweeps, show what was changed in settings, data and code, and which answers
    changed with it.
    """
    faults = faults_of(ctx)
    faults.items += [f"unexpected argument {word!r}: two sweeps at most" for word in sweeps[2:]]
    target = faults.of(writable_file, "--output", output) if output is not None else None
    formats = OF_TWO if len(sweeps) > 1 else FORMATS
    kind = faults.of(choice, "--format", form or _kind_of(target), formats)
    chosen = columns is not None or sort is not None
    if chosen and (len(sweeps) > 1 or kind not in (None, *OF_COLUMNS)):
        faults.items.append(
            f"--{'sort' if columns is None else 'columns'}: needs one sweep and --format "
            f"{' or '.join(OF_COLUMNS)}"
        )
    if details and (len(sweeps) > 1 or chosen or kind not in (None, "table")):
        faults.items.append(
            "--details: needs one sweep and --format table, without --columns and --sort; the "
            "other formats have all details"
        )
    if whole and (len(sweeps) > 1 or kind not in (None, "table", "markdown")):
        faults.items.append("--all: needs one sweep and --format table or markdown")
    place = faults.of(home_from, home)
    faults.stop()
    assert kind is not None and place is not None

    with clean_stdout():
        if len(sweeps) > 1:
            text = _two_rendered(kind, sweeps[0], sweeps[1], place).rstrip("\n")
        else:
            sweep = sweeps[0] if sweeps else None
            if chosen:
                text = _leaderboard(kind, sweep, place, columns, sort, whole).rstrip("\n")
            else:
                text = _rendered(kind, sweep, place, details, whole).rstrip("\n")
                if kind == "table" and not details:
                    text += "\n\nThe whole verdict and all tables: add --details"
            tell_of_newer("compare", sweep, place)
    if target is None:
        click.echo(text)
    else:
        write_whole(target, text + "\n")
        click.echo(f"wrote {target}", err=True)
    return 0


def tell_of_newer(command: str, sweep: str | None, home: Home) -> None:
    """Say on stderr that a newer sweep is running than the one that was shown."""
    from cnn_pipeline.experiment.stored import newer_running

    newer = newer_running(sweep, home)
    if newer is not None:
        click.echo(f"a newer sweep is running: {program()} {command} {newer}", err=True)


def _kind_of(target: Path | None) -> str:
    return SUFFIXES.get(target.suffix.lower(), "table") if target else "table"


def _rendered(kind: str, sweep: str | None, home: Home, details: bool, whole: bool) -> str:
    from cnn_pipeline.comparison import render
    from cnn_pipeline.experiment.stored import load_comparison, load_report

    if kind == "html":  # needs more than the comparison
        return load_report(sweep, home)
    writers: dict[str, Callable[[Comparison], str]] = {
        "table": lambda comparison: render.to_text(comparison, details=details, whole=whole),
        "csv": render.to_csv,
        "json": lambda comparison: json_text("compare", comparison),
        "markdown": lambda comparison: render.to_markdown(comparison, whole=whole),
    }
    return writers[kind](load_comparison(sweep, home))


def _leaderboard(
    kind: str,
    sweep: str | None,
    home: Home,
    columns: str | None,
    sort: str | None,
    whole: bool,
) -> str:
    from cnn_pipeline.comparison.chosen_columns import USUAL, chosen, to_text
    from cnn_pipeline.experiment.stored import load_comparison

    names = USUAL if columns is None else tuple(name.strip() for name in columns.split(","))
    comparison = load_comparison(sweep, home)
    if kind == "csv":
        return chosen(comparison, names, sort).to_csv(index=False, lineterminator="\n")
    return to_text(comparison, names, sort, whole=whole)


def _two_rendered(kind: str, first: str, second: str, home: Home) -> str:
    from cnn_pipeline.comparison import two_sweeps_text as render
    from cnn_pipeline.experiment.stored import load_two

    writers = {
        "table": render.to_text,
        "json": lambda found: json_text("compare-two", found),
        "markdown": render.to_markdown,
    }
    return writers[kind](load_two(first, second, home))
