"""`cnn-pipeline data`: download, verify and describe a data set."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import click

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.cli.flags import data_from_flags, data_options, flagged
from cnn_pipeline.cli.options import cache_from_environment, json_option
from cnn_pipeline.cli.output import clean_stdout, print_json
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of, given

EPILOG = """\b
Examples:
  cnn-pipeline data
  cnn-pipeline data --data fashion-mnist-sample
  cnn-pipeline data --data ~/my-images --json"""


@click.command("data", cls=CollectingCommand, epilog=EPILOG)
@data_options
@json_option
@click.pass_context
def command(ctx: click.Context, /, as_json: bool, **values: Any) -> int:
    """Download a data set if it is not cached, verify it and describe it: counts per class, image
    shape, digest, source, and exact duplicates between train and test.
    """
    faults = faults_of(ctx)
    settings = faults.of(data_from_flags, given(values))
    cache = faults.of(cache_from_environment)
    faults.stop()
    assert settings is not None and cache is not None

    from cnn_pipeline.cli.progress import progress_on
    from cnn_pipeline.data.dataset import load_dataset
    from cnn_pipeline.data.describe import describe, render

    with clean_stdout(), progress_on(sys.stderr):
        try:
            description = describe(load_dataset(settings, cache))
        except InvalidInput as error:
            raise flagged(error) from None
    if as_json:
        print_json(asdict(description))
    else:
        click.echo(render(description))
    return 0
