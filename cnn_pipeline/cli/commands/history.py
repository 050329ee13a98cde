"""`cnn-pipeline history`: the decisions about a registered model, as a list or a plot."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.files import write_whole
from cnn_pipeline.cli.commands.champion import model_option
from cnn_pipeline.cli.json_output import print_json
from cnn_pipeline.cli.options import home_from, home_option, json_option
from cnn_pipeline.cli.output import clean_stdout, writable_file
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

if TYPE_CHECKING:
    from cnn_pipeline.champion.registry import Decision
    from cnn_pipeline.champion.story import Moment

EPILOG = """\b
Examples:
  cnn-pipeline history
  cnn-pipeline history --model fashion-mnist-sample-cnn --json
  cnn-pipeline history --plot
  cnn-pipeline history --plot --output history.html"""

SUFFIXES = (".html", ".svg", ".png")

PAST = {"promote": "promoted", "rollback": "rolled back to", "refuse": "refused"}


@click.command("history", cls=CollectingCommand, epilog=EPILOG)
@model_option
@click.option(
    "--plot", is_flag=True, help="Draw the champion's test accuracy over time, with refusals."
)
@click.option(
    "--output",
    metavar="FILE",
    help="With --plot: write a page (.html) or a picture (.svg, .png) instead.",
)
@home_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    model: str | None,
    plot: bool,
    output: str | None,
    home: str | None,
    as_json: bool,
) -> int:
    """List every promotion, refusal and rollback of a registered model with its reason, oldest
    first, or draw them.
    """
    faults = faults_of(ctx)
    if output is not None and not plot:
        faults.items.append("--output: needs --plot")
    if plot and as_json:
        faults.items.append("--json: give --json or --plot, not both")
    target = None if output is None else faults.of(_picture_file, output)
    place = faults.of(home_from, home)
    faults.stop()
    assert place is not None

    from cnn_pipeline.champion.register import model_name, open_registry
    from cnn_pipeline.champion.registry import History
    from cnn_pipeline.champion.story import story_of

    with clean_stdout():
        name = model_name(model, place)
        registry = open_registry(place)
        decisions = registry.history(name)
        if plot:
            drawn = _plot(name, story_of(decisions, registry.versions(name)), target)
    if plot:
        click.echo(drawn, err=target is not None)
    elif as_json:
        print_json("history", History(name, tuple(decisions)))
    else:
        click.echo("\n".join([name, *map(decision_text, decisions)]))
    return 0


def _picture_file(text: str) -> Path:
    path = writable_file("--output", text)
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidInput([f"--output: must end in {', '.join(SUFFIXES)}, received {text!r}"])
    return path


def _plot(name: str, moments: tuple[Moment, ...], target: Path | None) -> str:
    """The plot as text; or what was written to `target`."""
    if target is None:
        from cnn_pipeline.champion.story_text import story_text

        return story_text(name, moments)
    from cnn_pipeline.champion import story_chart

    now = datetime.now(UTC)
    writers: dict[str, Callable[[str, tuple[Moment, ...], datetime], str | bytes]] = {
        ".html": story_chart.story_html,
        ".svg": story_chart.story_svg,
        ".png": story_chart.story_png,
    }
    write_whole(target, writers[target.suffix.lower()](name, moments, now))
    return f"wrote {target}"


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
