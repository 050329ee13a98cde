"""`cnn-pipeline retrain`: retrain if something changed, and promote what passes the gate."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnn_pipeline.cli.flags import sweep_from_flags, sweep_options
from cnn_pipeline.cli.options import home_option, json_option, whole, writable_home_from
from cnn_pipeline.cli.output import clean_stdout, print_json
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of, given

if TYPE_CHECKING:
    from cnn_pipeline.champion.retraining.outcome import RetrainOutcome
    from cnn_pipeline.champion.retraining.settings import RetrainSettings

EPILOG = """\b
A settings file is TOML with the fields of the flow's parameter 'settings':
  [gate]
  max_latency_ms = 20.0
  [sweep]
  seeds = [0, 1]

\b
Examples:
  cnn-pipeline retrain
  cnn-pipeline retrain --force
  cnn-pipeline retrain --filters 32,64 --seeds 0,1,2 --workers 2
  cnn-pipeline retrain --settings retrain.toml --json"""


@click.command("retrain", cls=CollectingCommand, epilog=EPILOG)
@sweep_options
@click.option("--settings", metavar="FILE", help="TOML file with gate, drift, notify and sweep.")
@click.option("--force", is_flag=True, help="Retrain even if nothing changed.")
@click.option(
    "--workers",
    metavar="N",
    help="Trainers at a time. (default 0: one per core, at most one per candidate; GPU: 3)",
)
@home_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    settings: str | None,
    force: bool,
    workers: str | None,
    home: str | None,
    as_json: bool,
    **values: Any,
) -> int:
    """Run the weekly retraining now: compare data, settings and code with the last decision, train
    candidates if something changed, and promote the best one if it passes the gate. The exit
    status is 0 also if nothing changed or the champion stays, 1 if a person must look at it, 2 if
    the input is invalid.
    """
    faults = faults_of(ctx)
    count = faults.of(whole, "--workers", workers, 0, 0, 64)
    place = faults.of(writable_home_from, home)
    chosen = faults.of(settings_from, settings)
    # If any flag sets the sweep, the file's sweep is not used at all.
    words = given(values)
    sweep = faults.of(sweep_from_flags, {"sweep": "retrain", **words}) if words else None
    faults.stop()
    assert count is not None and place is not None and chosen is not None
    if sweep is not None:
        chosen = type(chosen).model_validate({**_fields(chosen), "sweep": sweep})

    from cnn_pipeline.cli.launch import run_retrain
    from cnn_pipeline.cli.progress import progress_on

    with clean_stdout(), progress_on(sys.stderr):
        outcome = run_retrain(chosen, place, force=force, workers=count)
    if as_json:
        print_json(outcome_json(outcome))
    else:
        click.echo(outcome_text(outcome))
    return 0 if outcome.ok else 1


def settings_from(path: str | None) -> RetrainSettings:
    """The settings of a TOML file, or the flow's defaults.

    Raises:
        InvalidInput: lists every fault of the file.
    """
    from cnn_pipeline.champion.retraining.settings import RetrainSettings, load_settings

    return RetrainSettings() if path is None else load_settings(Path(path))


def outcome_json(outcome: RetrainOutcome) -> dict[str, Any]:
    """The outcome for `--json`; 'ok' is false if a person must look at it."""
    return asdict(outcome) | {"ok": outcome.ok}


def outcome_text(outcome: RetrainOutcome) -> str:
    """The decision, the changes, and each rule with its required and measured value."""
    from cnn_pipeline.champion.retraining import text

    lines = [outcome.message, ""]
    lines += [f"{name}: {value}" for name, value in text.facts(outcome).items()]
    for row in text.rows(outcome):
        lines += [
            "",
            f"{'passed' if row['passed'] == 'yes' else 'FAILED'}  {row['rule']}",
            f"        required  {row['required']}",
            f"        measured  {row['measured']}",
        ]
    return "\n".join(lines)


def _fields(settings: RetrainSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in type(settings).model_fields}
