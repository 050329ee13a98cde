"""The group of commands, and `main`, which turns every outcome into an exit status."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

import click

from cnn_pipeline import __version__
from cnn_pipeline.base.errors import InvalidInput, Stopped, UserError, did_you_mean
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.base.shell import MLFLOW, PREFECT, drop_foreign, reach_loopback_directly
from cnn_pipeline.base.startup import collect_rarely
from cnn_pipeline.base.stops import keeping_stop
from cnn_pipeline.cli.output import print_anything
from cnn_pipeline.cli.signals import INTERRUPTED, raise_signals

DEBUG_VARIABLE = "CNN_PIPELINE_DEBUG"

COMMANDS = {
    "run": "Train the variants of a sweep and compare them.",
    "watch": "Watch a running sweep: states, curves, time left, who leads so far.",
    "plan": "Show layers, sizes, costs and estimated time of a sweep; run nothing.",
    "data": "Fetch, verify and describe a data set.",
    "list": "List past and running sweeps with their verdicts.",
    "compare": "Show what came out of a sweep: sentence, picture, table.",
    "verdict": "Compare MLflow runs that this project did not make.",
    "report": "Write a sweep as one HTML page: verdict, charts, confusions, images.",
    "reproduce": "Train a run again and compare it, number by number.",
    "predict": "Classify pictures with the champion, or another trained model.",
    "serve": "Serve the champion over HTTP on this machine; follow promotions.",
    "retrain": "Retrain if something changed; promote what passes the gate.",
    "champion": "Show the model in use, with its lineage.",
    "promote": "Make a run's model champion by hand.",
    "rollback": "Make the previous champion champion again.",
    "history": "Show every promotion, refusal and rollback with its reason.",
    "notify": "List the blocks that can notify people; send a test message.",
    "ui": "Open MLflow's user interface on this machine.",
    "up": "Start Prefect, MLflow and a worker; deploy the flows and their schedules.",
    "down": "Stop what 'up' started.",
    "deploy": "Deploy the flows of prefect.yaml again, after an edit.",
    "doctor": "Check versions, servers, schedules, store and disk; say what to do.",
    "explain": "Draw what a network does to an image, and what each part contributes.",
    "sweeps": "List the named sweeps.",
    "completion": "Print the script that completes commands and flags in your shell.",
}

EPILOG = """\b
Examples:
  cnn-pipeline run
  cnn-pipeline run --filters 16,32 --pooling max,none --epochs 3 --seeds 0,1,2
  cnn-pipeline plan --sweep course-exercises
  cnn-pipeline watch
  cnn-pipeline compare
  cnn-pipeline report --open
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
    """Run the command line and exit: 0 done, 1 failed, 2 bad input; 129, 130 and 143 stopped."""
    collect_rarely()
    for prefixes in (MLFLOW, PREFECT):
        drop_foreign(prefixes)
    reach_loopback_directly(os.environ)
    print_anything()
    # MLflow reads this when imported, here and in all child processes.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    raise_signals()
    # Runs last of what runs at the end: after it Python would have Ctrl-C kill the process.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    status = INTERRUPTED
    with contextlib.suppress(KeyboardInterrupt):  # once more, while the end is told
        status = status_of(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        sys.stderr.flush()
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(status))
    # Python ends by SIGINT, whatever the status, if Ctrl-C ever came while a string was executed,
    # as `dataclass` does on import. Executing another one makes it forget that.
    exec("")
    exit_process(status)


exit_process: Callable[[int], NoReturn] = sys.exit
"""Ends the process; `launch` replaces it where Prefect's threads would keep it for minutes."""


def status_of(argv: list[str]) -> int:
    """Run one command and return its exit status. Errors go to stderr."""
    try:
        with keeping_stop():
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
    except Stopped as stopped:
        tell([str(stopped)])
        return INTERRUPTED
    except (click.Abort, KeyboardInterrupt):
        tell(["interrupted"])
        return INTERRUPTED
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE) == "1":
            click.echo(redacted(traceback.format_exc()), err=True, nl=False)
        from cnn_pipeline.cli.unexpected import describe, machine_fault

        known = machine_fault(error)
        tell([str(known) if known else describe(error, argv)])
        return known.exit_code if known else 1


def tell(lines: Sequence[str]) -> None:
    """Print a single error on one line, several as a list; without secrets."""
    lines = [redacted(line) for line in lines]
    if len(lines) == 1:
        click.echo(f"error: {lines[0]}", err=True)
        return
    click.echo(f"error: {len(lines)} faults", err=True)
    for line in lines:
        click.echo(f"  {line}", err=True)
