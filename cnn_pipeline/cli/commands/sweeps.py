"""`cnn-pipeline sweeps`: list the named sweeps."""

from __future__ import annotations

from dataclasses import dataclass

import click

from cnn_pipeline.cli.json_output import print_json
from cnn_pipeline.cli.options import json_option
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of
from cnn_pipeline.settings.named import DEFAULT, NAMED

EPILOG = """\b
Examples:
  cnn-pipeline sweeps
  cnn-pipeline run --sweep course-exercises"""


@dataclass(frozen=True)
class NamedSweep:
    """A sweep that `--sweep NAME` chooses."""

    name: str
    description: str
    variants: tuple[str, ...]
    default: bool
    """Whether `run` trains it if no other is chosen."""


@dataclass(frozen=True)
class NamedSweeps:
    """All named sweeps."""

    sweeps: tuple[NamedSweep, ...]


@click.command("sweeps", cls=CollectingCommand, epilog=EPILOG)
@json_option
@click.pass_context
def command(ctx: click.Context, /, as_json: bool) -> int:
    """List the named sweeps and the question that each one answers."""
    faults_of(ctx).stop()
    named = {name: make() for name, make in NAMED.items()}
    if as_json:
        listed = (
            NamedSweep(name, sweep.description, sweep.labels, name == DEFAULT)
            for name, sweep in named.items()
        )
        print_json("sweeps", NamedSweeps(tuple(listed)))
        return 0
    for name, sweep in named.items():
        click.echo(name + (" (default)" if name == DEFAULT else ""))
        click.echo(f"  {sweep.description}")
        click.echo(f"  {', '.join(sweep.labels)}")
    return 0
