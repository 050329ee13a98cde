"""What MLflow's pages show of a sweep and of its experiment, beside the comparison itself."""

from __future__ import annotations

import html
from collections.abc import Sequence

from cnn_pipeline.base import links, metric_names
from cnn_pipeline.comparison import render
from cnn_pipeline.comparison.layout import escaped
from cnn_pipeline.comparison.types import Comparison, Row
from cnn_pipeline.experiment.data_card import DataCard
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.tracking import names

REPORT_FILE = "report.html"
"""The artifact of a sweep's run."""
_MOST_CHARACTERS = 500
_EXPERIMENT = "Convolutional networks on "


def sweep_params(sweep: Sweep, card: DataCard) -> dict[str, str]:
    """What a sweep varies, on which data, for how long: columns of the list of sweeps."""
    from cnn_pipeline.tracking.views import varying_values

    values = varying_values(sweep)
    axes = "; ".join(f"{name}: {', '.join(map(spell, levels))}" for name, levels in values.items())
    epochs = dict.fromkeys(trial.training.epochs for trial in sweep.trials())
    return {
        names.AXES: axes[:_MOST_CHARACTERS] or "none",
        names.DATA: f"{card.name}: {card.num_train:,} training images",
        names.EPOCHS: ", ".join(map(str, epochs)),
    }


def sweep_metrics(
    comparison: Comparison, results: Sequence[TrialResult], seconds: float
) -> dict[str, float]:
    """The numbers of a sweep, the most important ones first, rounded to what they mean.

    `seconds` is the time since the sweep's run started.
    """
    metric = comparison.sweep.metric
    scores = {
        name: round(value, 4)
        for row in comparison.ranked
        if row.label == comparison.verdict.chosen
        for name, value in (
            (metric_names.chosen("val", metric), row.validation_accuracy),
            (metric_names.chosen("test", metric), row.test_accuracy),
        )
        if value is not None
    }
    return {
        **scores,
        metric_names.NUM_VARIANTS: float(len(comparison.rows)),
        metric_names.NUM_TRIALS: float(len(results)),
        metric_names.NUM_FAILED: float(sum(not result.finished for result in results)),
        metric_names.SWEEP_MINUTES: round(seconds / 60, 1),
    }


def compared_metrics(row: Row) -> dict[str, float]:
    """What the comparison says of a variant, for the runs of its seeds: MLflow's list sorts by it.

    An accuracy of one run hides how far another seed is from it; the interval does not.
    """
    found = {
        metric_names.RANK: row.rank,
        metric_names.MAY_BE_BEST: row.may_be_best,
        metric_names.VERDICT_LOW: row.verdict_low,
        metric_names.VERDICT_HIGH: row.verdict_high,
    }
    return {name: round(float(value), 4) for name, value in found.items() if value is not None}


def sweep_tags(
    comparison: Comparison, experiment_id: str, run_id: str, pictures: Sequence[str]
) -> dict[str, str]:
    """The answer as tags of the sweep's run. `pictures` are the artifacts to show."""
    return {
        names.NOTE: _sweep_note(comparison, experiment_id, run_id, pictures),
        names.VERDICT: comparison.verdict.headline,
        names.CHOSEN_VARIANT: comparison.verdict.chosen or "",
    }


def _sweep_note(
    comparison: Comparison, experiment_id: str, run_id: str, pictures: Sequence[str]
) -> str:
    """The description of a sweep's run: answer and picture, the leaderboard, then the details.

    MLflow shows the first 100 pixels and folds the rest, so the answer stands beside the picture's
    first part. Its Markdown needs HTML for that. They are the note's first line.
    """
    images = [f'<img src="{html.escape(links.artifact_file(run_id, file))}">' for file in pictures]
    cells = [*images[:1], f"<strong>{html.escape(comparison.verdict.headline)}</strong>"]
    row = "".join(f"<td>{cell}</td>" for cell in cells)
    report = links.artifact_page(experiment_id, run_id, REPORT_FILE)
    top = [f"<table><tr>{row}</tr></table>", *images[1:], f"[The report]({report})"]
    return render.to_markdown(comparison, top="\n\n".join(top), folded=False)


def experiment_note(experiment_id: str, run_id: str, comparison: Comparison) -> str:
    """The description of an experiment after a sweep, as Markdown.

    MLflow shows its first line above the runs and the rest on a click.
    """
    sweep = comparison.sweep
    report = links.artifact_page(experiment_id, run_id, REPORT_FILE)
    table = links.view_link(experiment_id, names.SWEEPS_VIEW)
    return (
        f"{_EXPERIMENT}{escaped(sweep.dataset)}. [Report of the last sweep]({report}), "
        f"[all sweeps as a table]({table}).\n\n"
        f"The last sweep is {escaped(sweep.sweep_id)}: "
        f"{escaped(comparison.verdict.headline)}\n\n"
        "A run with children is a sweep of cnn-pipeline: its page has the answer, its children are "
        "the trained networks.\n"
    )


def may_replace(note: str) -> bool:
    """Whether an experiment's description is empty or was written here, not by a person."""
    return not note or note.startswith(_EXPERIMENT)
