"""The comparison of two sweeps: what differs in settings, data, code and answers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from cnn_pipeline.base.metric_names import Metric
from cnn_pipeline.comparison.statistics import Interval
from cnn_pipeline.comparison.types import Difference

Verdict = Literal["more accurate", "less accurate", "not significant", "not tested"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Side(_Record):
    """One of the two sweeps."""

    sweep_id: str
    name: str
    data: str
    verdict: str
    """The headline."""
    chosen: str | None
    """The variant that is best on validation."""
    metric: Metric = "accuracy"
    """What its numbers of test and validation are."""


class Changed(_Record):
    """A fact that differs; empty where a sweep does not have it."""

    what: str
    first: str
    second: str


class VariantChange(_Record):
    """A variant of both sweeps."""

    variant: str
    network: tuple[Changed, ...]
    """Settings of the network that differ although the name is the same."""
    same_models: bool
    """The second sweep reuses the first one's trained networks, or the other way round."""
    first: float | None
    """Test accuracy in the first sweep, mean over seeds, from 0 to 1."""
    second: float | None
    difference: Difference | None
    """Second minus first, on the same test images; None where that is not possible."""
    networks: Interval | None
    """The same difference with its interval over test images, mean over the seeds in both: it
    speaks about these trained networks only. None as above, and without predictions."""


class PairChange(_Record):
    """Two variants whose comparison has another result in the second sweep."""

    variant: str
    against: str
    first_says: Verdict
    """What the first sweep says of `variant` against `against`, by intervals that hold for all
    pairs of its variants at once."""
    second_says: Verdict
    first: Difference
    second: Difference
    change: float | None
    """By how much the difference has changed, second minus first; None on other test images."""
    change_interval: Interval | None
    """95 % for this change alone; None if it is not known."""


class AnswerChange(_Record):
    """What the sweeps say about a setting, where they do not say the same."""

    setting: str
    first: str
    second: str


class TwoSweeps(_Record):
    """Two sweeps, compared."""

    first: Side
    second: Side
    settings: tuple[Changed, ...]
    data: tuple[Changed, ...]
    code: tuple[Changed, ...]
    only_first: tuple[str, ...]
    """Variants with a finished trial in the first sweep only."""
    only_second: tuple[str, ...]
    same_test_images: bool
    """Whether accuracies can be compared: the data sets are identical."""
    variants: tuple[VariantChange, ...]
    """The variants that have finished trials in both, in the order of the second's ranking."""
    answers: tuple[AnswerChange, ...]
    """Settings about which the sweeps do not say the same."""
    num_pairs: int
    """Number of pairs of variants that both sweeps compare."""
    pairs: tuple[PairChange, ...]
    """Those pairs for which the sweeps do not say the same."""
