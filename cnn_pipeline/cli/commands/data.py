"""`cnn-pipeline data`: download, verify and describe a data set."""

from __future__ import annotations

import contextlib
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnn_pipeline.base import events
from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.files import write_whole
from cnn_pipeline.cli.completing import files
from cnn_pipeline.cli.flags import data_from_flags, data_options, flagged
from cnn_pipeline.cli.json_output import print_json
from cnn_pipeline.cli.options import cache_from_environment, json_option
from cnn_pipeline.cli.output import clean_stdout, writable_file
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of, given

if TYPE_CHECKING:
    from cnn_pipeline.data.dataset import Dataset
    from cnn_pipeline.data.describe import Description

DEFAULT_SHEET = "contact-sheet.png"

EPILOG = """\b
Examples:
  cnn-pipeline data
  cnn-pipeline data --data fashion-mnist-sample --sheet sample.png
  cnn-pipeline data --data ~/my-images --image-size 64x48 --fit crop
  cnn-pipeline data --data ~/my-images --json"""


@click.command("data", cls=CollectingCommand, epilog=EPILOG)
@data_options
@click.option(
    "--sheet",
    metavar="FILE",
    shell_complete=files,
    help="PNG file for a dozen pictures of each class, as the network sees them, and for near "
    f"duplicates. (default {DEFAULT_SHEET}; with --json none)",
)
@json_option
@click.pass_context
def command(ctx: click.Context, /, sheet: str | None, as_json: bool, **values: Any) -> int:
    """Download a data set if it is not cached, verify it and describe it: counts per class, image
    shape, digest, source, exact and near duplicates between the splits, and what is doubtful.
    Draw its contact sheet.
    """
    faults = faults_of(ctx)
    target = None if sheet is None else faults.of(writable_file, "--sheet", sheet)
    if sheet is None and not as_json:
        with contextlib.suppress(InvalidInput):  # a folder that is read-only still has its data
            target = writable_file("--sheet", DEFAULT_SHEET)
    settings = faults.of(data_from_flags, given(values))
    cache = faults.of(cache_from_environment)
    faults.stop()
    assert settings is not None and cache is not None

    from cnn_pipeline.cli.progress import progress_on
    from cnn_pipeline.data.dataset import load_dataset
    from cnn_pipeline.data.describe import describe, render

    with clean_stdout(), progress_on(sys.stderr):
        try:
            dataset = load_dataset(settings, cache)
        except InvalidInput as error:
            raise flagged(error) from None
        events.emit(events.Stage("looking for duplicates"))
        description = describe(dataset, cache)
        numbers = _draw(target, dataset, description) if target else ""
    if as_json:
        print_json("data", description)
    else:
        click.echo(render(description))
        if numbers:
            click.echo(f"\n{textwrap.fill(numbers, 80)}")
    if target:
        click.echo(f"wrote {target}", err=True)
    elif not as_json:
        click.echo("no contact sheet: this folder is read-only; use --sheet FILE", err=True)
    return 0


def _draw(target: Path, dataset: Dataset, description: Description) -> str:
    """Write the contact sheet; returns which class names are numbers there."""
    from cnn_pipeline.explain.drawing.fonts import legend
    from cnn_pipeline.explain.drawing.page import png_bytes
    from cnn_pipeline.explain.plots.contact_sheet import draw_contact_sheet

    write_whole(target, png_bytes(draw_contact_sheet(dataset, description)))
    return legend(dataset.class_names)
