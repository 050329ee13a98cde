"""`cnn-pipeline plan`: show what a sweep would train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cnn_pipeline.base.quantities import counted, duration
from cnn_pipeline.cli.flags import checked_sweep, sweep_options
from cnn_pipeline.cli.json_output import print_json
from cnn_pipeline.cli.options import cache_from_environment, json_option
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of, given
from cnn_pipeline.comparison.layout import wrapped
from cnn_pipeline.network.plan import (
    LayerPlan,
    Plan,
    augmentation_seconds,
    estimate_seconds,
)
from cnn_pipeline.settings.sweep import AUTO, Sweep
from cnn_pipeline.trainers.scheduling import longest_first, wall_seconds, workers_for

EPILOG = """\b
Examples:
  cnn-pipeline plan
  cnn-pipeline plan --decide 0.5 --max-rounds 20
  cnn-pipeline plan --filters 32-64 --conv-layers 2 --padding same
  cnn-pipeline plan --sweep course-exercises --json"""


@click.command("plan", cls=CollectingCommand, epilog=EPILOG)
@sweep_options
@json_option
@click.pass_context
def command(ctx: click.Context, /, as_json: bool, **values: Any) -> int:
    """Show for each variant its layers with shapes, parameters, multiply-accumulates (MACs) and
    receptive field, and the estimated time of a run. Impossible stacks of layers are refused.
    Nothing is trained.
    """
    faults = faults_of(ctx)
    cache = faults.of(cache_from_environment)
    found = faults.of(checked_sweep, given(values), cache or Path(), faults.items)
    faults.stop()
    assert found is not None
    sweep, checked = found
    shape = checked.shape
    seconds = {
        trial.label: estimate_seconds(
            checked.plans[trial.label], trial.training, shape.num_train, shape.num_test
        )
        for trial in sweep.trials()
    }
    workers = workers_for(0, len(sweep.trials()))
    if as_json:
        print_json("plan", sweep_plan(sweep, checked.plans, seconds, workers))
    else:
        augmenting = {
            trial.label: augmentation_seconds(
                checked.plans[trial.label], trial.training, shape.num_train
            )
            for trial in sweep.trials()
        }
        click.echo(plan_text(sweep, checked.plans, seconds, workers, augmenting))
    return 0


@dataclass(frozen=True)
class VariantPlan:
    """A variant before it is trained."""

    name: str
    architecture: str
    """One line, as '28x28x1 > C64 3x3 > P2 > D128 > 10'."""
    layers: tuple[LayerPlan, ...]
    num_params: int
    macs: int
    """Multiply-accumulate operations per image."""
    estimated_seconds: float
    """Of one run."""


@dataclass(frozen=True)
class RoundsPlan:
    """The rounds of a sweep with seeds 'auto', each with one seed for every variant still in."""

    decide: float
    """Points of accuracy that matter."""
    at_least: int
    expected: int
    """If all variants are equally good and their seeds spread as the tutorial's network does;
    fewer, or smaller ones, if some are clearly worse."""
    at_most: int
    wall_seconds: float
    """The time of one round of all variants, with `workers` trainers."""


@dataclass(frozen=True)
class SweepPlan:
    """A sweep before it is trained."""

    sweep: str
    """Name of the sweep."""
    seeds: tuple[int, ...]
    """The seeds that are trained in any case."""
    runs: int
    """The runs of these seeds, as the times below."""
    estimated_seconds: float
    """Sum over the runs: the time with one trainer."""
    workers: int
    """Trainers that `run` would start on this machine."""
    estimated_wall_seconds: float
    """The time with that many trainers."""
    rounds: RoundsPlan | None
    """None for a list of seeds, and for one variant alone, which needs no rounds."""
    variants: tuple[VariantPlan, ...]


def sweep_plan(
    sweep: Sweep, plans: dict[str, Plan], seconds: dict[str, float], workers: int
) -> SweepPlan:
    """The sweep as planned; `seconds` holds the estimate of one run by variant."""
    return SweepPlan(
        sweep=sweep.name,
        seeds=sweep.first_seeds,
        runs=len(sweep.trials()),
        estimated_seconds=sum(seconds.values()) * len(sweep.first_seeds),
        workers=workers,
        estimated_wall_seconds=_wall_seconds(sweep, seconds, workers),
        rounds=rounds_plan(sweep, seconds, workers),
        variants=tuple(
            VariantPlan(
                name=label,
                architecture=plan.architecture,
                layers=plan.layers,
                num_params=plan.num_params,
                macs=plan.macs,
                estimated_seconds=seconds[label],
            )
            for label, plan in plans.items()
        ),
    )


def rounds_plan(sweep: Sweep, seconds: dict[str, float], workers: int) -> RoundsPlan | None:
    """What is known of the rounds beforehand; None for a list of seeds, and one variant alone."""
    if sweep.seeds != AUTO or len(seconds) == 1:
        return None
    from cnn_pipeline.comparison.further_rounds import USUAL_SPREAD, further_rounds

    expected = further_rounds(
        dict.fromkeys(seconds, 0.0),
        USUAL_SPREAD,
        num_variants=len(seconds),
        done=0,
        most=len(sweep.all_seeds),
        decide=sweep.decide / 100,
    )
    return RoundsPlan(
        decide=sweep.decide,
        at_least=len(sweep.first_seeds),
        expected=len(list(expected)),
        at_most=len(sweep.all_seeds),
        wall_seconds=wall_seconds(sorted(seconds.values(), reverse=True), workers),
    )


def plan_text(
    sweep: Sweep,
    plans: dict[str, Plan],
    seconds: dict[str, float],
    workers: int,
    augmenting: dict[str, float],
) -> str:
    """One table per variant, then the total time with one trainer and with `workers`.

    `seconds` holds the estimate of one run by variant, `augmenting` its part for the augmentation.
    """
    blocks = [
        "\n".join(
            [label, f"  {plan.architecture}", *_table(plan, seconds[label], augmenting[label])]
        )
        for label, plan in plans.items()
    ]
    rounds = rounds_plan(sweep, seconds, workers)
    return "\n\n".join([*blocks, _total(sweep, seconds, workers, rounds)])


def _total(sweep: Sweep, seconds: dict[str, float], workers: int, rounds: RoundsPlan | None) -> str:
    seeds = len(sweep.first_seeds)
    runs = len(seconds) if rounds else len(seconds) * seeds
    in_a_row = duration(sum(seconds.values()) * runs / len(seconds))
    wall = rounds.wall_seconds if rounds else _wall_seconds(sweep, seconds, workers)
    what = "1 round" if rounds else counted(seeds, "seed")
    total = (
        f"{counted(len(seconds), 'variant')} x {what} = {counted(runs, 'run')}, "
        f"about {in_a_row} with 1 trainer"
    )
    if workers > 1:
        total += f",\nabout {duration(wall)} with {workers} trainers"
    if rounds is None:
        return total
    first = _wall_seconds(sweep, seconds, workers)

    def about(number: int) -> str:
        return f"{number} ({duration(first + (number - rounds.at_least) * wall)})"

    points = "1 point" if rounds.decide == 1 else f"{rounds.decide:g} points"
    told = (
        f"Rounds follow until no variant can be {points} better than the one that leads: at least "
        f"{about(rounds.at_least)}, at most {about(rounds.at_most)}, about "
        f"{about(rounds.expected)} if all variants are equally good. One that is clearly worse is "
        "dropped, and later rounds take less time."
    )
    return f"{total}\n{wrapped(told)}"


def _wall_seconds(sweep: Sweep, seconds: dict[str, float], workers: int) -> float:
    expected = {trial.name: seconds[trial.label] for trial in sweep.trials()}
    order = longest_first(sweep.trials(), expected)
    return wall_seconds((expected[trial.name] for trial in order), workers)


_ROW = "  {:<15} {:>12} {:>12} {:>14} {:>16}"


def _table(plan: Plan, seconds: float, augmenting: float) -> list[str]:
    part = f", {duration(augmenting)} of it for the augmentation" if augmenting else ""
    return [
        _ROW.format("layer", "output", "parameters", "MACs", "receptive field"),
        *(_row(layer) for layer in plan.layers),
        _ROW.format("total", "", f"{plan.num_params:,}", f"{plan.macs:,}", "").rstrip(),
        f"  about {duration(seconds)} per run{part}",
    ]


def _row(layer: LayerPlan) -> str:
    field = f"{layer.receptive_field}x{layer.receptive_field}" if layer.receptive_field else "all"
    return _ROW.format(layer.name, layer.shape_text, f"{layer.params:,}", f"{layer.macs:,}", field)
