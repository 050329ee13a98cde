"""`cnn-pipeline run`: train the variants of a sweep and compare them."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnn_pipeline.cli.flags import checked_sweep, sweep_options
from cnn_pipeline.cli.options import (
    cache_from_environment,
    home_option,
    json_option,
    whole,
    writable_home_from,
)
from cnn_pipeline.cli.output import clean_stdout, print_json, program
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of, given

if TYPE_CHECKING:
    from cnn_pipeline.experiment.outcome import Outcome

EPILOG = """\b
Lists are separated by commas; one number per layer is written 32-64.
Every combination of the lists is one variant, trained once per seed.

\b
Examples:
  cnn-pipeline run
  cnn-pipeline run --filters 16,32 --pooling max,none --epochs 3
  cnn-pipeline run --sweep pooling --seeds 0,1,2
  cnn-pipeline run --sweep my-sweep.toml --workers 2 --json
  cnn-pipeline run --force"""


@click.command("run", cls=CollectingCommand, epilog=EPILOG)
@sweep_options
@click.option(
    "--workers",
    metavar="N",
    help="Trainers at a time. (default 0: one per core, at most one per variant and seed; GPU: 3)",
)
@click.option("--force", is_flag=True, help="Retrain even if an identical run exists.")
@home_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    workers: str | None,
    force: bool,
    home: str | None,
    as_json: bool,
    **values: Any,
) -> int:
    """Train the variants of a sweep with the Prefect flow, record them in MLflow, and print
    leaderboard and verdict. The exit status is 1 if a trial failed, 2 if the input is invalid.
    """
    faults = faults_of(ctx)
    count = faults.of(whole, "--workers", workers, 0, 0, 64)
    place = faults.of(writable_home_from, home)
    cache = faults.of(cache_from_environment)
    checked = faults.of(checked_sweep, given(values), cache or Path())
    faults.stop()
    assert checked is not None and count is not None and place is not None

    from cnn_pipeline.cli.launch import run_flow
    from cnn_pipeline.cli.progress import progress_on

    sweep, preflight = checked
    with clean_stdout(), progress_on(sys.stderr):
        outcome = run_flow(sweep, place, workers=count, force=force, checked=preflight)
    if as_json:
        print_json(outcome_json(outcome))
    else:
        click.echo(outcome_text(outcome, home))
    return 0 if outcome.ok else 1


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """Sweep and experiment ids, each trial as a record, and the verdict."""
    verdict = outcome.comparison.verdict
    return {
        "sweep_id": outcome.sweep_id,
        "experiment_id": outcome.experiment_id,
        "parent_run_id": outcome.parent_run_id,
        "ok": outcome.ok,
        "trained": outcome.trained,
        "variants": [asdict(result) for result in outcome.results],
        "verdict": asdict(verdict) | {"winner": verdict.winner},
    }


def outcome_text(outcome: Outcome, home: str | None) -> str:
    """Leaderboard, verdict and next commands. `home` is the flag's value."""
    from cnn_pipeline.comparison import render

    where = "" if home is None else f" --home {shlex.quote(home)}"
    return (
        f"{render.to_text(outcome.comparison).rstrip()}\n\n{_reuse_text(outcome)}"
        "Next:\n"
        f"  {program()} compare{where} --output report.html\n"
        f"  {program()} ui{where}"
    )


def _reuse_text(outcome: Outcome) -> str:
    """What was reused, and why; empty if everything was trained."""
    why = "same data, settings, code and libraries; models and predictions were verified"
    if not outcome.trained:
        return (
            f"Nothing was trained: sweep {outcome.sweep_id} is unchanged ({why}).\n"
            "Use --force to retrain.\n\n"
        )
    reused = [result.name for result in outcome.results if result.reused_from]
    if not reused:
        return ""
    return f"Reused: {', '.join(reused)} ({why}).\n\n"
