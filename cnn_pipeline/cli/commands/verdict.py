"""`cnn-pipeline verdict`: compare MLflow runs that this project did not make."""

from __future__ import annotations

import os

import click

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.files import write_whole
from cnn_pipeline.base.home import TRACKING_VARIABLE
from cnn_pipeline.cli.completing import files
from cnn_pipeline.cli.json_output import print_json
from cnn_pipeline.cli.options import json_option
from cnn_pipeline.cli.output import clean_stdout, writable_file
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

EPILOG = """\b
Examples:
  cnn-pipeline verdict --tracking-uri http://127.0.0.1:5000 --experiment digits --group-by filters
  cnn-pipeline verdict --tracking-uri sqlite:///mlflow.db --experiment digits
    --group-by filters,pooling --metric test_acc --predictions predictions.csv"""


@click.command("verdict", cls=CollectingCommand, epilog=EPILOG)
@click.option(
    "--tracking-uri",
    metavar="URI",
    help="MLflow server, database or folder. Nothing is written to it. "
    f"(default {TRACKING_VARIABLE})",
)
@click.option("--experiment", metavar="NAME", help="MLflow experiment with the runs. Required.")
@click.option(
    "--group-by",
    metavar="PARAM,...",
    help="Params or tags that make a group: runs of one group differ by chance alone. Required.",
)
@click.option(
    "--metric",
    metavar="NAME",
    help="Accuracy on the test images, from 0 to 1. (default test_accuracy)",
)
@click.option(
    "--rank-by",
    metavar="NAME",
    help="Accuracy on other images, which ranks the groups. (default val_accuracy_final or "
    "val_accuracy if every run has one, else the metric itself)",
)
@click.option(
    "--predictions",
    metavar="PATH",
    help="Artifact of each run with its answers to the test images: .csv, .parquet, .json, .npz or "
    ".npy. Without it, nothing is said about new images.",
)
@click.option("--seed", metavar="PARAM", help="Param or tag with the seed. (default seed)")
@click.option(
    "--filter",
    "condition",
    metavar="TEXT",
    help="Only runs that meet this filter, in MLflow's syntax.",
)
@click.option(
    "--report", metavar="FILE", shell_complete=files, help="Also write the report as an HTML file."
)
@click.option("--details", is_flag=True, help="Show the whole verdict and all tables, too.")
@click.option(
    "--all",
    "whole",
    is_flag=True,
    help="Show all of many groups in the tables, which else have the best 20; JSON has all.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    tracking_uri: str | None,
    experiment: str | None,
    group_by: str | None,
    metric: str | None,
    rank_by: str | None,
    predictions: str | None,
    seed: str | None,
    condition: str | None,
    report: str | None,
    details: bool,
    whole: bool,
    as_json: bool,
) -> int:
    """Compare groups of MLflow runs, whoever made them: with autolog, Ray Tune or a loop of one's
    own. The statistics, the words and the report are those of this project's sweeps.
    """
    faults = faults_of(ctx)
    uri = faults.of(_required, "--tracking-uri", tracking_uri or os.environ.get(TRACKING_VARIABLE))
    name = faults.of(_required, "--experiment", experiment)
    groups = faults.of(_names, "--group-by", group_by)
    target = faults.of(writable_file, "--report", report) if report is not None else None
    faults.stop()
    assert uri is not None and name is not None and groups is not None

    with clean_stdout():
        from cnn_pipeline.experiment.foreign import Question, report_on_runs, verdict_on_runs

        question = Question(
            uri=uri,
            experiment=name,
            group_by=groups,
            metric=metric or Question.metric,
            rank_by=rank_by,
            seed=seed or Question.seed,
            predictions=predictions,
            condition=condition or "",
        )
        found = verdict_on_runs(question)
        page = None if target is None else report_on_runs(question, found)
    if as_json:
        print_json("verdict", found.comparison)
    else:
        from cnn_pipeline.comparison.render import to_text

        click.echo(to_text(found.comparison, details=details, whole=whole).rstrip("\n"))
        if not details:
            click.echo("\nMore: add --details, or --report FILE")
    if target is not None and page is not None:
        write_whole(target, page)
        click.echo(f"wrote {target}", err=True)
    return 0


def _required(flag: str, text: str | None) -> str:
    if text is None or not text.strip():
        raise InvalidInput([f"{flag}: is required"])
    return text.strip()


def _names(flag: str, text: str | None) -> tuple[str, ...]:
    names = tuple(name.strip() for name in _required(flag, text).split(","))
    if not all(names):
        raise InvalidInput([f"{flag}: must be names as A,B, received {text!r}"])
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise InvalidInput([f"{flag}: {', '.join(twice)} is given twice; give it once"])
    return names
