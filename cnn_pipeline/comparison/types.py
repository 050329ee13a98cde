"""The comparison as frozen records; `render.to_json` writes their fields as they are named here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cnn_pipeline.comparison.statistics import SIGNIFICANCE, Interval

Basis = Literal["models", "recipes", "mixed", "none"]
Outcome = Literal["held", "did not hold", "cannot say"]


@dataclass(frozen=True)
class Expected:
    """An expectation stated before the run: `metric` moves in `direction`."""

    metric: str
    """'test_accuracy', 'train_seconds', 'num_params' or 'macs'."""
    direction: str
    """'higher' or 'lower'."""
    against: str
    """Label of the variant to compare with."""


@dataclass(frozen=True)
class SweepInfo:
    """What the comparison needs to know about the sweep."""

    sweep_id: str
    name: str
    dataset: str
    """Name of the data set, as in 'fashion-mnist'."""
    num_test: int
    """Number of test images, the same for every trial."""
    description: str = ""
    baseline: str | None = None
    """Label of the variant whose levels are the reference of the effects."""
    expectations: dict[str, tuple[Expected, ...]] = field(default_factory=dict)
    """Expectations by label."""


@dataclass(frozen=True)
class TrialFault:
    """A trial that cannot be compared, and why."""

    name: str
    label: str
    seed: int
    status: str
    reason: str


@dataclass(frozen=True)
class Row:
    """One variant of the leaderboard; numbers are means over its finished seeds.

    None means unknown. Accuracies are shares from 0 to 1.
    """

    label: str
    rank: int | None
    """From 1, by validation accuracy; None if no seed can be compared."""
    status: str
    """FINISHED, PARTIAL (some seeds failed), FAILED or KILLED."""
    reason: str
    """What failed and why; empty if nothing did."""
    params: dict[str, str]
    """The variant's settings as text."""
    run_ids: tuple[str, ...]
    """Run ids of all seeds, ordered by seed."""
    seeds: tuple[int, ...]
    """Seeds that finished."""
    failed_seeds: tuple[int, ...]
    validation_accuracy: float | None = None
    """Variants are ranked by this."""
    validation_spread: float | None = None
    """Standard deviation over seeds; None for fewer than two."""
    test_accuracy: float | None = None
    test_spread: float | None = None
    test_interval: Interval | None = None
    """95 %: Wilson's over test images for one seed, Student's t over several seeds."""
    num_params: float | None = None
    macs: float | None = None
    """Multiply-accumulate operations of one image's forward pass."""
    train_seconds: float | None = None
    images_per_second: float | None = None
    latency_ms: float | None = None
    """Milliseconds per image at batch 1."""
    latency_ms_batch_256: float | None = None
    """Milliseconds per image at batch 256."""
    model_bytes: float | None = None
    efficient: bool | None = None
    """No other variant is at least as good in validation accuracy, parameters and MACs."""


@dataclass(frozen=True)
class Difference:
    """Test accuracy of `label` minus that of `against`, as a share, with its uncertainty."""

    label: str
    against: str
    basis: Basis
    """'models': these two networks, on the same images. 'recipes': mean over seeds."""
    estimate: float | None = None
    interval: Interval | None = None
    """95 % for this comparison alone."""
    p_value: float | None = None
    p_corrected: float | None = None
    """After Holm's correction over the comparisons of its table."""
    wins: int | None = None
    """Images that only `label` gets right (basis 'models')."""
    losses: int | None = None
    """Images that only `against` gets right (basis 'models')."""
    seeds: tuple[int, ...] = ()
    """Seeds used of `label`."""
    reason: str = ""
    """Why there is no test; empty if there is one."""

    @property
    def sure(self) -> bool:
        """Whether the difference is significant after the correction."""
        return _shown(self.estimate, self.p_corrected)


@dataclass(frozen=True)
class MatchedPair:
    """Two variants that differ in one field, and their difference in test accuracy."""

    label: str
    against: str
    difference: float | None


@dataclass(frozen=True)
class Effect:
    """The effect of changing one field from `against` to `level`, over matched pairs."""

    axis: str
    level: str
    against: str
    basis: Basis
    pairs: tuple[MatchedPair, ...] = ()
    seeds: tuple[int, ...] = ()
    estimate: float | None = None
    """Mean difference in test accuracy, as a share."""
    interval: Interval | None = None
    p_value: float | None = None
    p_corrected: float | None = None
    """After Holm's correction; only for effects in `AxisEffects.contrasts`."""
    validation: float | None = None
    """Mean difference in validation accuracy, as a share."""
    params_ratio: float | None = None
    macs_ratio: float | None = None
    seconds_ratio: float | None = None
    reason: str = ""
    """Why the effect is not estimable or has no test."""

    @property
    def sure(self) -> bool:
        """Whether the effect is significant after the correction."""
        return _shown(self.estimate, self.p_corrected)

    @property
    def one_direction(self) -> bool:
        """Whether the differences of all pairs have the same sign."""
        signs = {(pair.difference or 0) > 0 for pair in self.pairs if pair.difference}
        return len(signs) < 2


@dataclass(frozen=True)
class AxisEffects:
    """A field that varies, its levels, and their effects."""

    axis: str
    reference: str
    """Level of the baseline, else the first."""
    levels: tuple[str, ...]
    effects: tuple[Effect, ...]
    """Every other level against the reference."""
    leader: str | None = None
    """Level with the best validation accuracy over matched pairs."""
    contrasts: tuple[Effect, ...] = ()
    """The leader against every other level, with corrected p-values."""


@dataclass(frozen=True)
class ExpectationCheck:
    """An expectation and what was measured."""

    label: str
    expected: Expected
    outcome: Outcome
    measured: str
    """The difference or ratio in words, with its interval if there is one."""
    reason: str = ""
    """Why the outcome is 'cannot say'."""
    difference: Difference | None = None
    """For test accuracy."""
    ratio: float | None = None
    """For costs: label / against."""


@dataclass(frozen=True)
class Verdict:
    """What the sweep shows, in sentences and as fields."""

    headline: str
    sentences: tuple[str, ...]
    basis: Basis
    """Basis of the comparisons with the chosen variant."""
    chosen: str | None = None
    """The variant that is best on validation."""
    better_than: tuple[str, ...] = ()
    """Significantly less accurate on test than the chosen variant."""
    worse_than: tuple[str, ...] = ()
    """Significantly more accurate on test than the chosen variant."""
    indistinguishable: tuple[str, ...] = ()
    """Tested, without a significant difference."""
    untested: tuple[str, ...] = ()
    """No test was possible."""
    cheapest: str | None = None
    """Fewest MACs among `chosen` and `indistinguishable`."""

    @property
    def winner(self) -> str | None:
        """The chosen variant if it is significantly better than every other; else None."""
        clear = self.better_than and not (
            self.worse_than or self.indistinguishable or self.untested
        )
        return self.chosen if clear else None


@dataclass(frozen=True)
class Comparison:
    """A whole sweep, compared."""

    sweep: SweepInfo
    num_validation: int
    rows: tuple[Row, ...]
    """Ranked variants first, then those that cannot be ranked."""
    pairwise: tuple[Difference, ...]
    """The chosen variant against every other ranked variant, in the order of `rows`."""
    axes: tuple[AxisEffects, ...]
    expectations: tuple[ExpectationCheck, ...]
    verdict: Verdict
    faults: tuple[TrialFault, ...] = ()
    notes: tuple[str, ...] = ()
    """What was missing or inconsistent in the results."""

    @property
    def ranked(self) -> tuple[Row, ...]:
        """Rows that have a rank, best first."""
        return tuple(row for row in self.rows if row.rank is not None)


def _shown(estimate: float | None, p_corrected: float | None) -> bool:
    return bool(estimate) and p_corrected is not None and p_corrected < SIGNIFICANCE
