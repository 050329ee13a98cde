"""`cnn-pipeline retrain`: retrain if something changed, and promote what passes the gate."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.cli.completing import files
from cnn_pipeline.cli.engine_flags import engine_from, engine_options, take_flags
from cnn_pipeline.cli.flags import sweep_from_flags, sweep_options
from cnn_pipeline.cli.json_output import print_json
from cnn_pipeline.cli.options import (
    home_option,
    json_option,
    no_live_option,
    whole,
    writable_home_from,
)
from cnn_pipeline.cli.output import clean_stdout, home_words, program
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of, given

if TYPE_CHECKING:
    from cnn_pipeline.champion.retraining.outcome import RetrainOutcome
    from cnn_pipeline.champion.retraining.settings import NotifySettings, RetrainSettings

EPILOG = """\b
A settings file is TOML; docs/reference/configuration.md lists its keys:
  [gate]
  max_latency_ms = 20.0
  [sweep]
  seeds = [0, 1, 2, 3, 4, 5]

\b
Examples:
  cnn-pipeline retrain
  cnn-pipeline retrain --force
  cnn-pipeline retrain --filters 32,64 --seeds 0,1,2 --workers 2
  cnn-pipeline retrain --notify slack-webhook/ops --notify-on promoted,failed
  cnn-pipeline retrain --settings retrain.toml --json"""


@click.command("retrain", cls=CollectingCommand, epilog=EPILOG)
@partial(sweep_options, default="retrain")
@click.option(
    "--settings",
    metavar="FILE",
    shell_complete=files,
    help="TOML file with gate, drift, notify, sweep and engine. A flag above replaces its sweep.",
)
@click.option("--force", is_flag=True, help="Retrain even if nothing changed.")
@click.option(
    "--notify",
    metavar="BLOCK,...",
    help="Prefect's notification blocks that are told how it ended; see 'cnn-pipeline notify'.",
)
@click.option(
    "--notify-on",
    metavar="WORD,...",
    help="What they are told of: promoted, refused, stopped, failed, missed. (default all)",
)
@click.option(
    "--workers",
    metavar="N",
    help="Trainers at a time. (default 0: one per core, at most one per candidate; GPU: 3)",
)
@engine_options
@no_live_option
@home_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    settings: str | None,
    force: bool,
    notify: str | None,
    notify_on: str | None,
    workers: str | None,
    no_live: bool,
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
    where = faults.of(engine_from, take_flags(values), values.get("sweep") or "", settings)
    # If any flag sets the sweep, the file's sweep is not used at all.
    words = given(values)
    sweep = faults.of(sweep_from_flags, {"sweep": "retrain", **words}) if words else None
    told = faults.of(notify_from_flags, chosen, notify, notify_on)
    faults.stop()
    assert count is not None and place is not None
    assert chosen is not None and where is not None
    chosen = chosen.model_copy(update={"notify": told, **({"sweep": sweep} if sweep else {})})

    from cnn_pipeline.cli.launch import run_retrain
    from cnn_pipeline.cli.progress import Curves, progress_on
    from cnn_pipeline.services.running import mlflow_address

    curves = Curves(mlflow_address(place), f"{program()} ui{home_words(home)}")
    with clean_stdout(), progress_on(sys.stderr, curves=curves, full_screen=not no_live):
        outcome = run_retrain(chosen, place, force=force, workers=count, engine=where)
    if as_json:
        print_json("retrain", outcome)
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


def notify_from_flags(
    settings: RetrainSettings | None, blocks: str | None, on: str | None
) -> NotifySettings:
    """Whom to notify, and of what: a flag overrides the file.

    Raises:
        InvalidInput: lists every fault with its flag.
    """
    from cnn_pipeline.champion.retraining.settings import NotifySettings
    from cnn_pipeline.settings.faults import find_faults

    document = settings.notify.model_dump() if settings else {}
    for field, words in (("blocks", blocks), ("on", on)):
        if words is not None:
            document[field] = [word.strip() for word in words.split(",")]
    found, faults = find_faults(NotifySettings, document)
    if found is None or faults:
        flags = {"blocks": "--notify", "on": "--notify-on"}
        raise InvalidInput([fault.text(lambda path: flags[str(path[0])]) for fault in faults])
    return found


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
