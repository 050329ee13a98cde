"""The group of commands, and `main`, which turns every outcome into an exit status."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from cnn_pipeline import __version__
from cnn_pipeline.base.errors import InvalidInput, UserError, did_you_mean
from cnn_pipeline.base.startup import collect_rarely

DEBUG_VARIABLE = "CNN_PIPELINE_DEBUG"

INTERRUPTED = 130  # 128 + SIGINT, as shells report it

COMMANDS = {
    "run": "Train the variants of a sweep and compare them.",
    "plan": "Show layers, sizes, costs and estimated time of a sweep; run nothing.",
    "data": "Fetch, verify and describe a data set.",
    "compare": "Show the leaderboard and the verdict of a sweep.",
    "report": "Write a sweep as one HTML page: verdict, charts, confusions, images.",
    "predict": "Classify PNG or JPEG files with the champion, or another trained model.",
    "serve": "Serve the champion over HTTP on this machine; follow promotions.",
    "retrain": "Retrain if something changed; promote what passes the gate.",
    "champion": "Show the model in use, with its lineage.",
    "promote": "Make a run's model champion by hand.",
    "rollback": "Make the previous champion champion again.",
    "history": "Show every promotion, refusal and rollback with its reason.",
    "ui": "Open MLflow's user interface on this machine.",
    "up": "Start Prefect, MLflow and a worker; deploy the flows and their schedules.",
    "down": "Stop what 'up' started.",
    "deploy": "Deploy the flows of prefect.yaml again, after an edit.",
    "doctor": "Check versions, servers, schedules, store and disk; say what to do.",
    "explain": "Draw what a network does to an image, and what each part contributes.",
    "sweeps": "List the named sweeps.",
}

EPILOG = """\b
Examples:
  cnn-pipeline run
  cnn-pipeline run --filters 16,32 --pooling max,none --epochs 3 --seeds 0,1,2
  cnn-pipeline plan --sweep course-exercises
  cnn-pipeline compare --format html --output report.html
  cnn-pipeline predict boot.png

'cnn-pipeline COMMAND --help' shows a command's flags."""


class LazyGroup(click.Group):
    """Imports each command's module on use, so that `--help` is fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(
            f"cnn_pipeline.cli.commands.{name}"
        ).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            hint = did_you_mean(args[0], COMMANDS) or f"; commands are {', '.join(COMMANDS)}"
            raise InvalidInput([f"unknown command {args[0]!r}{hint}"])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    help="Sweeps of small convolutional networks: trained, tracked in MLflow, and compared with "
    "a verdict and its uncertainty.",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="cnn-pipeline")
def app() -> None:
    """The group of commands."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 bad input, 130 and 143 interrupted."""
    collect_rarely()
    # MLflow reads this when imported, here and in all child processes.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Treated like Ctrl-C, so that runs and child processes are ended.
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(status_of(list(sys.argv[1:] if argv is None else argv)))


def _terminated(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def status_of(argv: list[str]) -> int:
    """Run one command and return its exit status. Errors go to stderr."""
    try:
        return app.main(argv, prog_name="cnn-pipeline", standalone_mode=False) or 0
    except InvalidInput as error:
        tell(error.faults)
        return error.exit_code
    except UserError as error:
        tell([str(error)])
        return error.exit_code
    except click.ClickException as error:
        tell([error.format_message()])
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        tell(["interrupted"])
        return INTERRUPTED
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE) == "1":
            traceback.print_exc()
        remedy = f"Set {DEBUG_VARIABLE}=1 and run it again for a traceback."
        tell([f"unexpected {type(error).__name__}: {' '.join(str(error).split())}. {remedy}"])
        return 1


def tell(lines: Sequence[str]) -> None:
    """Print a single error on one line, several as a list."""
    if len(lines) == 1:
        click.echo(f"error: {lines[0]}", err=True)
        return
    click.echo(f"error: {len(lines)} faults", err=True)
    for line in lines:
        click.echo(f"  {line}", err=True)
