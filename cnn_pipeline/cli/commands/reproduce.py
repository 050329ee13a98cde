"""`cnn-pipeline reproduce`: train a stored run again and compare every number."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from cnn_pipeline.base.quantities import counted, duration, percent
from cnn_pipeline.cli.json_output import print_json
from cnn_pipeline.cli.options import cache_from_environment, home_from, home_option, json_option
from cnn_pipeline.cli.output import clean_stdout
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

if TYPE_CHECKING:
    from cnn_pipeline.champion.reproduce import Compared, Reproduction

EPILOG = """\b
Examples:
  cnn-pipeline reproduce f64-max-s0
  cnn-pipeline reproduce 3f2a --json"""


@click.command("reproduce", cls=CollectingCommand, epilog=EPILOG)
@click.argument("runs", metavar="RUN", nargs=-1)
@home_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, runs: tuple[str, ...], home: str | None, as_json: bool) -> int:
    """Train a run again from the settings, data and seed that it recorded, and compare curves,
    weights and predictions with what it logged. RUN is a run's id or its first digits, or the name
    of a run or variant of the last sweep. On the same kind of machine with the same versions all
    are equal bit for bit; elsewhere they are close, and it is said what differs. Nothing is written
    into the store. The exit status is 0 if the run is reproduced, or close for a reason; 1 if it
    is not; 2 if the input is invalid.
    """
    faults = faults_of(ctx)
    if not runs:
        faults.items.append("RUN: name a run to reproduce; `cnn-pipeline compare` lists them")
    faults.items += [f"unexpected argument {word!r}: one run at a time" for word in runs[1:]]
    place = faults.of(home_from, home)
    cache = faults.of(cache_from_environment)
    faults.stop()
    assert place is not None and cache is not None

    from cnn_pipeline.cli.progress import progress_on

    with clean_stdout(), progress_on(sys.stderr):
        from cnn_pipeline.champion.reproduce import reproduce

        found = reproduce(runs[0], place, cache)
    if as_json:
        print_json("reproduce", found)
    else:
        click.echo("\n".join(text(found)))
    return 0 if found.ok else 1


def text(found: Reproduction) -> Iterator[str]:
    """What came out, what was compared, what differs, and how far apart the two are."""
    from cnn_pipeline.champion.reproduce import ERROR_TOLERANCE, LOSS_TOLERANCE

    named = f"{found.name} (run {found.run_id})"
    yield {
        "identical": f"{named} is reproduced bit for bit.",
        "within tolerance": f"{named} is reproduced within the tolerance, not bit for bit.",
        "different": f"{named} is NOT reproduced.",
    }[found.outcome]
    yield ""
    yield from _part("curves", found.curves)
    yield from _part("weights", found.weights)
    yield from _part("predictions", [found.predictions])
    then, now = percent(found.test_accuracy_then), percent(found.test_accuracy_now)
    yield f"  {'test accuracy':<14}{then} then, {now} now"
    if found.outcome != "identical":
        yield ""
        yield (
            f"Tolerance: the first epoch's loss changed by {found.first_loss_change:.2%} (at most "
            f"{LOSS_TOLERANCE:.0%}),"
        )
        yield (
            f"and the test accuracies are {found.errors_apart:.1f} standard errors apart (at most "
            f"{ERROR_TOLERANCE:.0f})."
        )
    yield ""
    if found.reasons:
        yield "What differs from the first training:"
        for reason in found.reasons:
            yield f"  {reason.what}: {_cut(reason.then)} then, {_cut(reason.now)} now"
    elif found.outcome == "identical":
        yield "Processor, threads, versions and code are those of the first training."
    else:
        yield "Nothing is known to differ: processor, threads, versions and code are the same."
    yield f"It took {duration(found.seconds)}."


def _part(name: str, parts: Sequence[Compared]) -> Iterator[str]:
    count = sum(part.count for part in parts)
    differing = [part for part in parts if part.differing]
    head = f"  {name:<14}{counted(count, 'number')}"
    if not differing:
        yield f"{head}, all identical"
        return
    yield f"{head}, {sum(part.differing for part in differing):,} differ"
    for part in differing:
        apart = "another shape" if part.largest is None else f"at most {part.largest:.2g} apart"
        yield f"  {'':<14}{part.name}: {part.differing:,} of {part.count:,}, {apart}"


def _cut(value: str) -> str:
    """A hash is told by its first digits."""
    return value[:12] if len(value) == 64 and " " not in value else value
