"""`cnn-pipeline list`: the sweeps that were run, newest first."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cnn_pipeline.base.metric_names import MEASURES
from cnn_pipeline.base.quantities import counted, duration, percent
from cnn_pipeline.cli.json_output import print_json
from cnn_pipeline.cli.options import home_from, home_option, json_option, whole
from cnn_pipeline.cli.output import clean_stdout
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of
from cnn_pipeline.comparison.layout import WIDTH, wrapped

if TYPE_CHECKING:
    from cnn_pipeline.tracking.overview import SweepList, SweepSummary
    from cnn_pipeline.tracking.store import Store

EPILOG = """\b
Examples:
  cnn-pipeline list
  cnn-pipeline list --limit 5 --data fashion-mnist
  cnn-pipeline list --name pooling --json"""

DEFAULT_LIMIT = 20
MOST = 1000
INDENT = "  "


@click.command("list", cls=CollectingCommand, epilog=EPILOG)
@click.option("--limit", metavar="N", help=f"List at most this many. (default {DEFAULT_LIMIT})")
@click.option("--data", metavar="NAME", help="Only sweeps on this data set.")
@click.option("--name", metavar="TEXT", help="Only sweeps whose name contains this text.")
@home_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    limit: str | None,
    data: str | None,
    name: str | None,
    home: str | None,
    as_json: bool,
) -> int:
    """List past and running sweeps, newest first: when, how it ended, how many variants and
    trials, the best variant, and the verdict in one sentence.
    """
    faults = faults_of(ctx)
    count = faults.of(whole, "--limit", limit, DEFAULT_LIMIT, 1, MOST)
    place = faults.of(home_from, home)
    faults.stop()
    assert count is not None and place is not None

    from cnn_pipeline.tracking.overview import SweepList, list_sweeps
    from cnn_pipeline.tracking.store import open_store, store_exists

    with clean_stdout():
        found = SweepList(sweeps=(), more=False)
        if store_exists(place, os.environ):
            store = open_store(place, os.environ, create=False)
            found = list_sweeps(store, count, data=data, name=name)
            if not found.sweeps:
                click.echo(_where_else(store), err=True, nl=False)
    if as_json:
        print_json("list", found)
    else:
        click.echo(list_text(found, datetime.now(UTC), filtered=bool(data or name)))
    return 0


def _where_else(store: Store) -> str:
    """A line about deleted experiments, where the sweeps may be; empty without one."""
    from mlflow.tracking import MlflowClient

    from cnn_pipeline.tracking.deleted import restore_hint

    hint = restore_hint(store, MlflowClient(store.uri)).strip()
    return f"{hint}\n" if hint else ""


def list_text(found: SweepList, now: datetime, *, filtered: bool = False) -> str:
    """A paragraph for each sweep, at most 80 columns wide."""
    if not found.sweeps:
        return (
            "no sweep matches"
            if filtered
            else "there is no sweep yet. Start one with `cnn-pipeline run`."
        )
    parts = [_paragraph(sweep, now) for sweep in found.sweeps]
    if found.more:
        parts.append(f"There are older sweeps: --limit {2 * len(found.sweeps)} shows more.")
    return "\n\n".join(parts)


def _paragraph(sweep: SweepSummary, now: datetime) -> str:
    head = f"{sweep.started:%Y-%m-%d %H:%M} UTC  {sweep.state:<8}"
    one_line = f"{head}  {sweep.sweep_id}"
    heads = [one_line] if len(one_line) <= WIDTH else [head, f"  {sweep.sweep_id}"]
    sentence = sweep.verdict or _so_far(sweep, now)
    return "\n".join([*heads, wrapped(_facts(sweep), INDENT), wrapped(sentence, INDENT)])


def _facts(sweep: SweepSummary) -> str:
    trials = sweep.trials
    facts = [
        sweep.data,
        counted(sweep.variants, "variant"),
        *([f"round {sweep.round}"] if sweep.round else []),
        counted(trials.total, "trial")
        if trials.finished == trials.total
        else f"{trials.finished} of {counted(trials.total, 'trial')} finished",
        *([f"{trials.failed} failed"] if trials.failed else []),
    ]
    if sweep.best:
        known = sweep.best.test_accuracy
        what = "" if sweep.best.metric == "accuracy" else f" {MEASURES[sweep.best.metric]}"
        # MLflow has four digits of the share: all are shown, so nothing is rounded twice.
        score = "" if known is None else f" with {percent(known, 2)}{what} on test"
        facts.append(f"best on validation {sweep.best.variant}{score}")
    return ", ".join(facts)


def _so_far(sweep: SweepSummary, now: datetime) -> str:
    if sweep.state != "running":
        return f"No verdict: {sweep.reason}" if sweep.reason else "No verdict."
    since = (now - (sweep.last_record or sweep.started)).total_seconds()
    return f"No verdict until all trials have ended. Its last record is {duration(since)} old."
