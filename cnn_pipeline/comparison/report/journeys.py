"""The journeys of the image through the variants, within a limit of size."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cnn_pipeline.comparison.report.data import TrialData
from cnn_pipeline.comparison.report.pictures import picture

WIDTH = 1200
"""Pixels at which the smallest text is still readable."""
BUDGET = 2_500_000
"""Characters of all journeys together, to keep the page below 8 MB."""
_AT_ONCE = 2
"""Threads that encode pictures: Pillow releases the GIL."""


@dataclass(frozen=True)
class Journey:
    """One variant's picture."""

    label: str
    architecture: str
    source: str
    """Data URI."""


def journeys(
    trials: Sequence[TrialData], labels: Sequence[str]
) -> tuple[tuple[Journey, ...], tuple[str, ...]]:
    """One journey per variant, in the order of `labels`, and the labels that did not fit."""
    drawn = {label: trial for label in labels if (trial := _drawn(trials, label)) is not None}
    shown: list[Journey] = []
    room = BUDGET
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        sources = pool.map(_source, drawn.values())
        for (label, trial), source in zip(drawn.items(), sources, strict=True):
            if len(source) > room:
                pool.shutdown(wait=False, cancel_futures=True)
                break
            room -= len(source)
            shown.append(Journey(label, str(trial.plan.get("architecture", "")), source))
    return tuple(shown), tuple(drawn)[len(shown) :]


def _drawn(trials: Sequence[TrialData], label: str) -> TrialData | None:
    """The variant's first trial that has a journey."""
    return next((t for t in trials if t.label == label and t.journey is not None), None)


def _source(trial: TrialData) -> str:
    assert trial.journey is not None  # checked by `_drawn`
    return picture(trial.journey, WIDTH)
