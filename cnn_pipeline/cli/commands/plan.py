"""`cnn-pipeline plan`: show what a sweep would train."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.quantities import duration
from cnn_pipeline.cli.flags import checked_sweep, sweep_options
from cnn_pipeline.cli.options import cache_from_environment, json_option
from cnn_pipeline.cli.output import print_json
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of, given
from cnn_pipeline.network.plan import LayerPlan, Plan, estimate_seconds
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.trainers.scheduling import longest_first, wall_seconds, workers_for

EPILOG = """\b
Examples:
  cnn-pipeline plan
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
    found = faults.of(checked_sweep, given(values), cache or Path())
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
        print_json(plan_json(sweep, checked.plans, seconds, workers))
    else:
        click.echo(plan_text(sweep, checked.plans, seconds, workers))
    return 0


def plan_json(
    sweep: Sweep, plans: dict[str, Plan], seconds: dict[str, float], workers: int
) -> dict[str, Any]:
    """The plans for `--json`; `seconds` holds the estimate of one run by variant."""
    return {
        "sweep": sweep.name,
        "seeds": list(sweep.seeds),
        "runs": len(sweep.trials()),
        "estimated_seconds": sum(seconds.values()) * len(sweep.seeds),
        "workers": workers,
        "estimated_wall_seconds": _wall_seconds(sweep, seconds, workers),
        "variants": [
            {
                "name": label,
                "architecture": plan.architecture,
                "layers": [asdict(layer) for layer in plan.layers],
                metric_names.NUM_PARAMS: plan.num_params,
                metric_names.MACS: plan.macs,
                "estimated_seconds": seconds[label],
            }
            for label, plan in plans.items()
        ],
    }


def plan_text(sweep: Sweep, plans: dict[str, Plan], seconds: dict[str, float], workers: int) -> str:
    """One table per variant, then the total time with one trainer and with `workers`."""
    blocks = [
        "\n".join([label, f"  {plan.architecture}", *_table(plan, seconds[label])])
        for label, plan in plans.items()
    ]
    runs, seeds = len(sweep.trials()), len(sweep.seeds)
    in_a_row = duration(sum(seconds.values()) * seeds)
    total = (
        f"{_count(len(plans), 'variant')} x {_count(seeds, 'seed')} = {_count(runs, 'run')}, "
        f"about {in_a_row} with 1 trainer"
    )
    if workers > 1:
        wall = duration(_wall_seconds(sweep, seconds, workers))
        total += f",\nabout {wall} with {workers} trainers"
    return "\n\n".join([*blocks, total])


def _wall_seconds(sweep: Sweep, seconds: dict[str, float], workers: int) -> float:
    expected = {trial.name: seconds[trial.label] for trial in sweep.trials()}
    order = longest_first(sweep, expected)
    return wall_seconds((expected[trial.name] for trial in order), workers)


_ROW = "  {:<15} {:>12} {:>12} {:>14} {:>16}"


def _table(plan: Plan, seconds: float) -> list[str]:
    return [
        _ROW.format("layer", "output", "parameters", "MACs", "receptive field"),
        *(_row(layer) for layer in plan.layers),
        _ROW.format("total", "", f"{plan.num_params:,}", f"{plan.macs:,}", "").rstrip(),
        f"  about {duration(seconds)} per run",
    ]


def _row(layer: LayerPlan) -> str:
    field = f"{layer.receptive_field}x{layer.receptive_field}" if layer.receptive_field else "all"
    return _ROW.format(layer.name, layer.shape_text, f"{layer.params:,}", f"{layer.macs:,}", field)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
