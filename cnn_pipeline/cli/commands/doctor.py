"""`cnn-pipeline doctor`: check the installation and say how to fix it."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from typing import TYPE_CHECKING
from uuid import UUID

import click

from cnn_pipeline.base.errors import InvalidInput, UserError
from cnn_pipeline.cli.json_output import print_json
from cnn_pipeline.cli.options import (
    bare_home_from,
    cache_from_environment,
    home_option,
    json_option,
)
from cnn_pipeline.cli.output import clean_stdout
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

if TYPE_CHECKING:
    from cnn_pipeline.services.doctor import Finding

EPILOG = """\b
Examples:
  cnn-pipeline doctor
  cnn-pipeline doctor --json
  cnn-pipeline doctor --end 7ecfd3ad-6514-4ce5-90fd-2dd76ddbdd7e
  cnn-pipeline doctor --end 1f0c8c4f9d3e4c0a8a57c7d1b2f3a4e5"""


@click.command("doctor", cls=CollectingCommand, epilog=EPILOG)
@click.option(
    "--end",
    metavar="ID",
    help="Check nothing; end a flow run, or a run of MLflow, whose process is gone.",
)
@home_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, end: str | None, home: str | None, as_json: bool) -> int:
    """Check versions, disk, data, the store, artifacts, predictions, models, champions and
    leftovers; if servers run or are named, also these, the pool, the worker, schedules, stuck runs
    and slots. Each finding says what to do. Nothing is changed without --end, but that runs of
    MLflow whose process is gone are ended, as by every command. The exit status is 1 if a check
    failed.
    """
    faults = faults_of(ctx)
    place = faults.of(bare_home_from, home)
    cache = faults.of(cache_from_environment)
    if end is not None and as_json:
        faults.items.append("--json: give --json or --end, not both")
    run = None if end is None else faults.of(_run_id, end)
    faults.stop()
    assert place is not None and cache is not None

    from cnn_pipeline.services.doctor import FAIL, OK, Examination, end_run, end_sweep, examine
    from cnn_pipeline.services.shared import use_shared_store

    # Without its servers, what can be checked is checked, and doctor says that they do not run.
    with contextlib.suppress(UserError):
        use_shared_store(place, os.environ)
    if isinstance(run, str):
        click.echo(end_sweep(place, os.environ, run))
        return 0
    if run is not None:
        click.echo(f"{end_run(place, run)} is marked as crashed")
        return 0
    with clean_stdout():
        findings = examine(place, cache)
        if all(one.level == OK for one in findings if one.name in ("store", "home")):
            from cnn_pipeline.champion.check import check_champions

            findings += check_champions(place, os.environ)
    healthy = all(finding.level != FAIL for finding in findings)
    if as_json:
        print_json("doctor", Examination(healthy, tuple(findings)))
    else:
        click.echo(text(findings))
    return 0 if healthy else 1


def _run_id(text: str) -> UUID | str:
    """The id of a flow run, or the text that is the id of a run of MLflow, which has no dashes."""
    if re.fullmatch("[0-9a-f]{32}", text):
        return text
    try:
        return UUID(text)
    except ValueError:
        wanted = "the id of a flow run or of a run of MLflow"
        raise InvalidInput([f"--end: must be {wanted}, received {text!r}"]) from None


def text(findings: list[Finding]) -> str:
    """A line per check with its remedy below, and the counts."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:<4}  {finding.name:<12} {finding.message}")
        if finding.remedy:
            lines.append(f"{'':<19}-> {finding.remedy}")
    count = Counter(finding.level for finding in findings)
    lines.append(f"\n{count['ok']} ok, {count['warn']} warnings, {count['fail']} failures")
    return "\n".join(lines)
