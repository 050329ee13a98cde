"""`cnn-pipeline doctor`: check the installation and say how to fix it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from cnn_pipeline.cli.options import cache_from_environment, home_from, home_option, json_option
from cnn_pipeline.cli.output import clean_stdout, print_json
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

if TYPE_CHECKING:
    from cnn_pipeline.services.doctor import Finding

EPILOG = """\b
Examples:
  cnn-pipeline doctor
  cnn-pipeline doctor --json"""


@click.command("doctor", cls=CollectingCommand, epilog=EPILOG)
@home_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, home: str | None, as_json: bool) -> int:
    """Check versions, disk, data, the store and moved folders; if the services run, also
    addresses, pool, worker, schedules, stuck runs and slots. Each finding says what to do. Nothing
    is changed. The exit status is 1 if a check failed.
    """
    faults = faults_of(ctx)
    place = faults.of(home_from, home)
    cache = faults.of(cache_from_environment)
    faults.stop()
    assert place is not None and cache is not None

    from cnn_pipeline.services.doctor import FAIL, examine

    with clean_stdout():
        findings = examine(place, cache)
    healthy = all(finding.level != FAIL for finding in findings)
    if as_json:
        print_json({"ok": healthy, "findings": [asdict(finding) for finding in findings]})
    else:
        click.echo(text(findings))
    return 0 if healthy else 1


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
