"""What a comparison is of, and what it speaks about: a sweep, or runs of other programs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cnn_pipeline.base.metric_names import MEASURES, Metric
from cnn_pipeline.comparison.numbers import in_words
from cnn_pipeline.comparison.types import SweepInfo


def measure(sweep: SweepInfo) -> str:
    """What the numbers of test and validation are: 'accuracy', 'balanced accuracy'."""
    return MEASURES[sweep.metric]


def more(sweep: SweepInfo, direction: str = "more") -> str:
    """'more accurate', or 'better in balanced accuracy'; with 'less' the opposite."""
    if sweep.metric == "accuracy":
        return f"{direction} accurate"
    return f"{'better' if direction == 'more' else 'worse'} in {measure(sweep)}"


def amount(sweep: SweepInfo, share: str, images: str) -> str:
    """What a variant reaches: 'it gets 90 % of the images right', or its balanced accuracy."""
    if sweep.metric == "accuracy":
        return f"it gets {share} of the {images} right"
    return f"its {measure(sweep)} on the {images} is {share}"


def title(sweep: SweepInfo, *, with_id: bool = False) -> str:
    """'filters-and-pooling on fashion-mnist', or '12 runs of digits by units and seed'."""
    if sweep.runs is None:
        name = f"Sweep {sweep.sweep_id} ({sweep.name})" if with_id else sweep.name
        return f"{name} on {sweep.dataset}"
    name = f" of {sweep.name}" if sweep.name else ""
    return f"{sweep.runs.runs} runs{name} by {in_words(sweep.runs.settings)}"


def ranked_by(sweep: SweepInfo) -> str:
    """What the ranks rest on: 'validation accuracy', or the name of a metric."""
    return f"validation {measure(sweep)}" if sweep.runs is None else sweep.runs.ranked_by


def on_ranking(sweep: SweepInfo) -> str:
    """'on validation', or 'by val_accuracy'."""
    return "on validation" if sweep.runs is None else f"by {sweep.runs.ranked_by}"


def ranked_by_itself(sweep: SweepInfo) -> bool:
    """Whether groups are ranked by the accuracy that is also compared."""
    return sweep.runs is not None and sweep.runs.ranked_by == sweep.runs.metric


def unit(sweep: SweepInfo) -> str:
    """What a variant has several of: 'seed', or 'run' where nobody knows the seeds."""
    return "seed" if sweep.runs is None or sweep.runs.same_seeds else "run"


_MEANINGS: Mapping[Metric, list[str]] = MappingProxyType(
    {
        "balanced_accuracy": [
            "Balanced accuracy is the mean over the classes of the share of their images that is "
            "right: each class counts the same, however many images it has, and always answering "
            "one of k classes reaches 1 / k."
        ],
        "macro_f1": [
            "Macro F1 is the mean over the classes of F1, the harmonic mean of precision and "
            "recall: each class counts the same, however many images it has."
        ],
    }
)


def _drawn(sweep: SweepInfo) -> list[str]:
    if not sweep.test_drawn:
        return []
    return [
        f"{sweep.dataset} has no test images of its own, so they were drawn from its images: "
        f"{sweep.test_drawn}. --split-seed does not change them."
    ]


def caveats(sweep: SweepInfo) -> list[str]:
    """Sentences about what the numbers mean, and what runs of other programs do not tell."""
    runs = sweep.runs
    if runs is None:
        return [*_MEANINGS.get(sweep.metric, []), *_drawn(sweep)]
    sentences = []
    if not runs.same_seeds:
        sentences.append(
            "The groups share no recorded seeds, so every run counts as independent of all others."
        )
    if not sweep.num_test:
        sentences.append(
            "Only accuracies are known, not the answers to single images: nothing is said about "
            "new images."
        )
    if ranked_by_itself(sweep):
        sentences.append(
            f"The groups are ranked by {runs.metric} itself, so the first one's accuracy is "
            "flattered. The intervals of differences hold for all pairs, so they are not."
        )
    return sentences
