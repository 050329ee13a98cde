"""`cnn-pipeline history`: list the decisions about a registered model."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from cnn_pipeline.cli.commands.champion import model_option
from cnn_pipeline.cli.options import home_from, home_option, json_option
from cnn_pipeline.cli.output import clean_stdout, print_json
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

if TYPE_CHECKING:
    from cnn_pipeline.champion.registry import Decision

EPILOG = """\b
Examples:
  cnn-pipeline history
  cnn-pipeline history --model fashion-mnist-sample-cnn --json"""

PAST = {"promote": "promoted", "rollback": "rolled back to", "refuse": "refused"}


@click.command("history", cls=CollectingCommand, epilog=EPILOG)
@model_option
@home_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, model: str | None, home: str | None, as_json: bool) -> int:
    """List every promotion, refusal and rollback of a registered model with its reason, oldest
    first.
    """
    faults = faults_of(ctx)
    place = faults.of(home_from, home)
    faults.stop()
    assert place is not None

    from cnn_pipeline.champion.register import model_name, open_registry

    with clean_stdout():
        name = model_name(model, place)
        decisions = open_registry(place).history(name)
    if as_json:
        print_json({"model": name, "decisions": [asdict(decision) for decision in decisions]})
    else:
        click.echo("\n".join([name, *map(decision_text, decisions)]))
    return 0


def decision_text(decision: Decision) -> str:
    """'2026-11-22T10:00:00+00:00  version 3 promoted (champion 2 to 3): better'."""
    before, after = decision.champion_before, decision.champion_after
    moved = (
        f"champion stays {'none' if after is None else after}"
        if before == after
        else f"champion {'none' if before is None else before} to {after}"
    )
    action = PAST[decision.action]
    what = (
        f"{action} version {decision.version}"
        if decision.action == "rollback"
        else f"version {decision.version} {action}"
    )
    return f"{decision.at}  {what} ({moved}): {decision.why}"
