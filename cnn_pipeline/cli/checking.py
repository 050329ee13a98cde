"""Check a sweep against own data, whose pictures may take minutes to prepare."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.own_name import refuse_used_name
from cnn_pipeline.experiment.preflight import Preflight, check_sweep
from cnn_pipeline.settings.sweep import Sweep


def must_be_read(sweep: Sweep) -> bool:
    """Whether the data are the user's own, which may take minutes to read.

    All else is checked before, so that a typing error is told at once.
    """
    from cnn_pipeline.data.catalog import CATALOGS

    return sweep.data.source not in CATALOGS


def check_with_progress(sweep: Sweep, cache: Path, home: Home | None = None) -> Preflight:
    """`check_sweep`, with progress on stderr where own pictures have to be prepared.

    What was converted, and changed to fit the data, is told there too.

    With `home`, a folder whose name belongs to other data there is refused before it is read.

    Raises:
        InvalidInput: as `check_sweep`.
    """
    if must_be_read(sweep):
        from cnn_pipeline.cli.progress import progress_on

        if home is not None:
            refuse_used_name(sweep.data, home)
        with progress_on(sys.stderr):
            checked = check_sweep(sweep, cache)
    else:
        checked = check_sweep(sweep, cache)
    for note in checked.card.notes if checked.card else ():
        # An array of that name, as scikit-learn's, says so itself.
        click.echo(note if note.startswith("data: ") else f"data: {note}", err=True)
    for note in checked.notes:
        click.echo(f"settings: {note}", err=True)
    return checked
