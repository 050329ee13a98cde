"""The journeys of the image through the variants, within the page's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnn_pipeline.report.pictures import picture
from cnn_pipeline.report.records import TrialData

WIDTH = 1200
"""Pixels: their smallest type is still read."""
BUDGET = 2_500_000
"""Characters of all journeys together; the page shall stay under 8 MB."""


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
    """One journey a variant, in the order of `labels`, and the labels that found no room."""
    shown: list[Journey] = []
    left_out: list[str] = []
    room = BUDGET
    for label in labels:
        drawn = next((t for t in trials if t.label == label and t.journey is not None), None)
        if drawn is None or drawn.journey is None:
            continue
        source = "" if left_out else picture(drawn.journey, WIDTH)
        if left_out or len(source) > room:
            left_out.append(label)
            continue
        room -= len(source)
        shown.append(Journey(label, str(drawn.plan.get("architecture", "")), source))
    return tuple(shown), tuple(left_out)
