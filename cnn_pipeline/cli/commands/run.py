"""`cnn-pipeline run`: train the variants of a sweep and compare them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from cnn_pipeline.base import events
from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.quantities import first_names
from cnn_pipeline.cli.checking import check_with_progress
from cnn_pipeline.cli.completing import stored_sweeps, words
from cnn_pipeline.cli.engine_flags import engine_from, engine_options, take_flags
from cnn_pipeline.cli.flags import SWEEP_KEYS, checked_sweep, sweep_options
from cnn_pipeline.cli.json_output import print_json
from cnn_pipeline.cli.options import (
    cache_from_environment,
    home_option,
    json_option,
    no_live_option,
    whole,
    writable_home_from,
)
from cnn_pipeline.cli.output import clean_stdout, home_words, program
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of, given
from cnn_pipeline.cli.search_flags import (
    CheckedSearch,
    asks_for_search,
    checked_search,
    search_options,
    search_words,
)
from cnn_pipeline.experiment.preflight import Preflight
from cnn_pipeline.settings.faults import find_faults
from cnn_pipeline.settings.resuming import Resuming
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.trainers.scheduling import workers_for

if TYPE_CHECKING:
    from cnn_pipeline.base.home import Home
    from cnn_pipeline.comparison.search import SearchRecord
    from cnn_pipeline.experiment.outcome import Outcome

_MOST_REUSED = 100
"""Trials that are named."""

EPILOG = """\b
Lists are separated by commas; one number per layer is written 32-64.
Every combination of the lists is one variant. Each is trained with two seeds,
and those that may still be the best with further ones, until none of them can
be --decide points better than the one that leads. Ctrl-C concludes with what
is there, twice stops. --seeds 0,1,2 trains each variant with these seeds.

\b
Examples:
  cnn-pipeline run
  cnn-pipeline run --filters 16,32 --pooling max,none --epochs 3
  cnn-pipeline run --filters 64 --pooling max --learning-rate 0.001,0.003
  cnn-pipeline run --augmentation none,flip+shift --epochs 20 --patience 3
  cnn-pipeline run --decide 0.5
  cnn-pipeline run --metric balanced_accuracy --class-weights none,balanced
  cnn-pipeline run --search tpe --filters 8..128 --learning-rate 1e-4..1e-2
  cnn-pipeline run --sweep pooling --seeds 0,1,2
  cnn-pipeline run --add-seeds 2 last
  cnn-pipeline run --sweep my-sweep.toml --workers 2 --json
  cnn-pipeline run --engine ray --ray-address 10.0.0.7:6379
  cnn-pipeline run --fresh"""


ADD_SEEDS = "--add-seeds"
LAST = "last"
MOST_SEEDS = 1000


class _Run(CollectingCommand):
    """Takes the name of a sweep only together with `ADD_SEEDS`."""

    def takes_words(self, args: Sequence[str]) -> bool:
        return any(word.partition("=")[0] == ADD_SEEDS for word in args)


def _complete_sweep(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    typed = ctx.params
    if typed.get("add_seeds") is None:
        return []
    last = words([LAST])(ctx, parameter, incomplete)
    return [*last, *stored_sweeps(ctx, parameter, incomplete)]


@click.command("run", cls=_Run, epilog=EPILOG)
@click.argument("sweeps", metavar="[SWEEP]", nargs=-1, shell_complete=_complete_sweep)
@sweep_options
@search_options
@click.option(
    ADD_SEEDS,
    metavar="N",
    help=f"Train N more seeds of each variant of SWEEP, an id, a name or '{LAST}', with its own "
    "settings. What is there is reused.",
)
@click.option(
    "--workers",
    metavar="N",
    help="Trainers at a time. (default 0: one per core, at most one per variant and seed; GPU: 3)",
)
@click.option("--force", is_flag=True, help="Retrain even if an identical run exists.")
@click.option(
    "--fresh",
    is_flag=True,
    help="Start a new sweep even if an identical one was stopped, which otherwise goes on.",
)
@click.option(
    "--checkpoint-seconds",
    metavar="N",
    help="Save a training within an epoch, too, if it takes longer. (default 60)",
)
@engine_options
@no_live_option
@home_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    sweeps: tuple[str, ...],
    add_seeds: str | None,
    workers: str | None,
    force: bool,
    fresh: bool,
    checkpoint_seconds: str | None,
    no_live: bool,
    home: str | None,
    as_json: bool,
    **values: Any,
) -> int:
    """Train the variants of a sweep with the Prefect flow, record them in MLflow, and print
    what came out. If the same command was stopped before, even by kill -9, go on where it was.
    The exit status is 1 if a trial failed, 2 if the input is invalid.
    """
    faults = faults_of(ctx)
    count = faults.of(whole, "--workers", workers, 0, 0, 64)
    place = faults.of(writable_home_from, home)
    cache = faults.of(cache_from_environment)
    resuming = faults.of(_resuming_from, checkpoint_seconds, fresh)
    where = faults.of(engine_from, take_flags(values), values.get("sweep") or "")
    more, checked, searched = None, None, None
    if add_seeds is None and asks_for_search(given(values)):
        if where is not None and where.engine != "local":
            faults.items.append(
                f"--engine: a search trains on this machine, received {where.engine!r}"
            )
        searched = faults.of(checked_search, given(values), cache or Path(), faults.items, place)
    elif add_seeds is None:
        checked = faults.of(checked_sweep, given(values), cache or Path(), faults.items, place)
    else:
        more = faults.of(whole, ADD_SEEDS, add_seeds, 0, 1, MOST_SEEDS)
        faults.items += _faults_beside_add_seeds(sweeps, given(values), force=force)
    faults.stop()
    assert count is not None and place is not None
    assert resuming is not None and where is not None
    if more is not None:
        checked = _with_more_seeds(sweeps[0], more, place, cache or Path())

    from cnn_pipeline.cli.launch import run_flow
    from cnn_pipeline.cli.progress import Curves, progress_on
    from cnn_pipeline.services.running import mlflow_address

    curves = Curves(mlflow_address(place), f"{program()} ui{home_words(home)}")
    record: SearchRecord | None = None
    if searched is not None:
        with clean_stdout(), progress_on(sys.stderr, curves=curves, full_screen=not no_live):
            record, checked = _search(
                searched, place, workers=count, force=force, resuming=resuming
            )
    assert checked is not None
    sweep, preflight = checked
    took: dict[str, float] = {}

    def note(event: events.Event) -> None:
        if isinstance(event, events.TrialEnded):
            took[event.trial] = event.seconds

    with (
        clean_stdout(),
        progress_on(sys.stderr, curves=curves, full_screen=not no_live, concludes=True),
        events.listening(note),
    ):
        outcome = run_flow(
            sweep,
            place,
            workers=count,
            force=force,
            resuming=resuming,
            checked=preflight,
            engine=where,
            search=record.sweep_id if record else "",
        )
    said = _search_text(record, outcome)
    if as_json:
        print_json("run", outcome)
        click.echo(said, err=True, nl=False)
    else:
        flags = search_words(searched.search) if searched else ""
        then = _then(outcome, sweep, took, ctx, count, flags, home)
        click.echo(said + outcome_text(outcome, home, then))
    return 0 if outcome.ok else 1


def _resuming_from(text: str | None, fresh: bool) -> Resuming:
    """Raises InvalidInput if the text is no number of seconds."""
    document: dict[str, object] = {"fresh": fresh}
    if text is not None:
        document["checkpoint_seconds"] = text
        with contextlib.suppress(ValueError):
            document["checkpoint_seconds"] = float(text)
    found, faults = find_faults(Resuming, document)
    if found is None or faults:
        raise InvalidInput([fault.text(lambda _: "--checkpoint-seconds") for fault in faults])
    return found


def _faults_beside_add_seeds(
    sweeps: Sequence[str], flags: Mapping[str, str], *, force: bool
) -> Iterator[str]:
    if not sweeps:
        yield f"{ADD_SEEDS}: needs a sweep after its number: an id, a name or '{LAST}'"
    for word in sweeps[1:]:
        yield f"unexpected argument {word!r}: one sweep at a time"
    for key in flags:
        yield f"--{key.replace('_', '-')}: {ADD_SEEDS} keeps the sweep's settings; leave it out"
    if force:
        yield f"--force: {ADD_SEEDS} reuses what is there; leave one of them out"


def _with_more_seeds(word: str, count: int, home: Home, cache: Path) -> tuple[Sweep, Preflight]:
    from cnn_pipeline.experiment.more_seeds import with_more_seeds

    with clean_stdout():
        sweep = with_more_seeds(None if word == LAST else word, count, home)
    return sweep, check_with_progress(sweep, cache)


def _search(
    asked: CheckedSearch, home: Home, *, workers: int, force: bool, resuming: Resuming
) -> tuple[SearchRecord, tuple[Sweep, Preflight]]:
    """Run the search; returns it, and the sweep that compares its best with fresh seeds."""
    from cnn_pipeline.experiment.preflight import check_fit
    from cnn_pipeline.experiment.search.run import fresh_sweep, run_search

    found = run_search(
        asked.search,
        asked.base,
        home,
        workers=workers,
        force=force,
        checked=asked.checked,
        resuming=resuming,
    )
    sweep = fresh_sweep(asked.base, asked.search, found)
    plans = check_fit(sweep, asked.checked.shape)
    return found.record, (sweep, replace(asked.checked, sweep=sweep, plans=plans))


def _search_text(record: SearchRecord | None, outcome: Outcome) -> str:
    """What the search was worth, a sentence a line; empty without one."""
    if record is None:
        return ""
    from cnn_pipeline.comparison.search import sentences

    lines = [fill(line, 80) for line in sentences(record, outcome.comparison)]
    return "\n".join(lines) + "\n\n"


def _then(
    outcome: Outcome,
    sweep: Sweep,
    took: Mapping[str, float],
    ctx: click.Context,
    workers: int,
    search: str,
    home: str | None,
) -> str:
    from cnn_pipeline.cli.next_step import Asked, next_step

    shown = f" --workers {workers}" if workers else ""
    asked = Asked(
        program=program(),
        given={key: value for key, value in given(ctx.params).items() if key in SWEEP_KEYS},
        rest=f"{shown}{home_words(home)}",
        workers=workers_for(workers, len(sweep.trials())),
        search=search,
        took=took,
    )
    return next_step(outcome, asked)


def outcome_text(outcome: Outcome, home: str | None, then: str = "") -> str:
    """Leaderboard, verdict and next commands. `home` is the flag's value, `then` the next step."""
    from cnn_pipeline.comparison import render

    where = home_words(home)
    commands = (f"compare{where} --details", f"report{where} --open", f"ui{where}")
    steps = [then, *(f"  {program()} {command}" for command in commands)]
    return (
        f"{render.to_text(outcome.comparison).rstrip()}\n\n{_reuse_text(outcome)}"
        "Next:\n" + "\n".join(filter(None, steps))
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
    return f"Reused: {first_names(reused, _MOST_REUSED)} ({why}).\n\n"
